// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"meridian/internal/loadgen"
)

// idleKind is a table of what connections cost on which nothing happens after one request.
type idleKind struct {
	name     string
	protocol string
	most     int // connections, whatever the flag says
	clients  func(n int) clients
}

var idleKinds = []idleKind{
	{"idle connections", http1, 15000, func(int) clients { return requests(small) }},
	{"idle TLS connections", secure, 15000, func(int) clients { return requests(overTLS(small)) }},
	{"idle HTTP/2 connections", http2, 3000, func(n int) clients { return overHTTP2(n, nil) }},
	{"idle HTTP/2 connections over TLS", secure, 3000, func(n int) clients { return overHTTP2(n, clientTLS()) }},
	{"idle HTTP/3 connections", http3, 1500, overHTTP3},
}

// haproxyMost is how many connections HAProxy takes with 20,000 descriptors, of which it wants two for each.
const haproxyMost = 9000

// settle is how long a proxy is left alone before its memory is read.
const settle = 3 * time.Second

// idle opens connections to one proxy after the other and prints what they cost. The proxies must be fresh: memory that
// load has left free would hide it.
func (l *lab) idle(ctx context.Context, w io.Writer, k idleKind, n int) error {
	fmt.Fprintf(w, "\n### %s, each after one request\n\n", k.name)
	header(w, "proxy", "connections", "bytes per connection", "RSS before, MiB", "RSS with them, MiB")
	for _, p := range l.peers {
		if p.addrs[k.protocol] == "" {
			continue
		}
		many := min(n, k.most)
		if p.name == "HAProxy" {
			many = min(many, haproxyMost)
		}
		before, after, err := l.idleAt(ctx, p, k, many)
		if err != nil {
			return fmt.Errorf("%d %s to %s: %w", many, k.name, p.name, err)
		}
		line(w, p.name, fmt.Sprint(many), fmt.Sprint((after-before)/int64(many)), mib(before), mib(after))
	}
	return nil
}

func mib(bytes int64) string { return fmt.Sprintf("%.1f", float64(bytes)/(1<<20)) }

// idleAt returns a proxy's memory without the connections and with them.
func (l *lab) idleAt(ctx context.Context, p *peer, k idleKind, n int) (before, after int64, err error) {
	if err := pause(ctx, settle); err != nil {
		return 0, 0, err
	}
	before = p.proc.rss()
	open, end, err := k.clients(n)(ctx, l, p.addrs[k.protocol])
	if err != nil {
		return 0, 0, err
	}
	defer end()
	lanes, err := loadgen.OpenLanes(ctx, n, open)
	if err != nil {
		return 0, 0, err
	}
	defer lanes.Close()
	if err := pause(ctx, settle); err != nil {
		return 0, 0, err
	}
	return before, p.proc.rss(), nil
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
