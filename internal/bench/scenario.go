// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"meridian/internal/loadgen"
)

// load drives the proxy at an address as fast as it goes, for d.
type load func(ctx context.Context, l *lab, addr string, d time.Duration) (outcome, error)

// scenario is a table of the report, with a row for each proxy that speaks its protocol.
type scenario struct {
	name     string
	protocol string
	full     load    // at full speed; nil: by the clients
	lanes    int     // how many clients
	clients  clients // at half of the slowest proxy's full speed
}

// The clients of HTTP/1.1.
var (
	small = loadgen.HTTP1{Request: []byte("GET /small HTTP/1.1\r\nHost: " + host + "\r\n\r\n"), Size: smallSize}
	large = loadgen.HTTP1{Request: []byte("GET /large HTTP/1.1\r\nHost: " + host + "\r\n\r\n"), Size: largeSize}
	once  = loadgen.HTTP1{Request: []byte("GET /small HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n\r\n"), Size: smallSize, Once: true}
	post  = loadgen.HTTP1{Request: []byte("POST /small HTTP/1.1\r\nHost: " + host + "\r\nContent-Length: 16384\r\n\r\n" + strings.Repeat("x", 16384)), Size: smallSize}
)

// What wrk sends instead of a GET without a body.
const (
	luaPost = `wrk.method = "POST"; wrk.body = string.rep("x", 16384)`
	luaOnce = `wrk.headers["Connection"] = "close"`
)

var scenarios = []scenario{
	{"keep-alive GET of 100 B, 64 connections", http1, wrk("http", "/small", 64, ""), 64, requests(small)},
	{"keep-alive GET of 100 B, 512 connections", http1, wrk("http", "/small", 512, ""), 512, requests(small)},
	{"keep-alive GET of 64 KiB, 64 connections", http1, wrk("http", "/large", 64, ""), 64, requests(large)},
	{"keep-alive POST of 16 KiB, 64 connections", http1, wrk("http", "/small", 64, luaPost), 64, requests(post)},
	{"new connection for each GET, 64 at once", http1, wrk("http", "/small", 64, luaOnce), 64, requests(once)},
	{"TLS keep-alive GET of 100 B, 64 connections", secure, wrk("https", "/small", 64, ""), 64, requests(overTLS(small))},
	{"TLS handshake for each GET, 64 at once", secure, nil, 64, requests(overTLS(once))},
	{"HTTP/2 GET of 100 B, 16 connections, 32 streams each", http2, h2load("http", "/small", 16, 32), 512, overHTTP2(16, nil)},
	{"HTTP/2 over TLS, 16 connections, 32 streams each", secure, h2load("https", "/small", 16, 32), 512, overHTTP2(16, clientTLS())},
	{"HTTP/3 GET of 100 B, 16 connections, 8 streams each", http3, nil, 128, overHTTP3(16)},
	{"SSE, events of 64 B on 500 streams", http1, nil, 500, eventStreams},
	{"WebSocket echo of 64 B, 256 connections", http1, nil, 256, webSockets},
}

// outcome is what a load generator reports.
type outcome struct {
	requests, failed float64
	seconds          float64
	p50, p99, p999   float64 // milliseconds from when a request was due; zero at full speed
}

// check finds a load that does not count: more than one request of a thousand has failed.
func (o *outcome) check(report string) error {
	if o.requests == 0 || o.failed > o.requests/1000 {
		return fmt.Errorf("%.0f of %.0f requests failed: %s", o.failed, o.requests, report)
	}
	return nil
}

// outcomeOf reads loadgen's report of a load that took so long.
func outcomeOf(r *loadgen.Result, took time.Duration) (outcome, error) {
	ms := func(q float64) float64 { return float64(r.Quantile(q)) / 1e6 }
	o := outcome{float64(r.Sent), float64(r.Failed), took.Seconds(), ms(0.5), ms(0.99), ms(0.999)}
	return o, o.check(r.String())
}
