// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// scenario is a row of the table. A scheme that the edge under test does not serve leaves its rows out.
type scenario struct {
	name   string
	scheme string // which of a peer's URLs
	load   func(ctx context.Context, l *lab, url string, d time.Duration) (outcome, error)
}

// outcome is what a load generator reports.
type outcome struct {
	requests, failed float64
	seconds          float64
	p50, p99, p999   float64 // microseconds
}

var scenarios = []scenario{
	{"keep-alive GET 100 B, 64 connections", "http", wrk("/small", 64, "")},
	{"keep-alive GET 100 B, 512 connections", "http", wrk("/small", 512, "")},
	{"keep-alive GET 64 KiB, 64 connections", "http", wrk("/large", 64, "")},
	{"keep-alive POST 16 KiB, 64 connections", "http", wrk("/small", 64, `wrk.method = "POST"; wrk.body = string.rep("x", 16384)`)},
	{"new connection for each GET of 100 B, 64 at once", "http", wrk("/small", 64, `wrk.headers["Connection"] = "close"`)},
}

// report has wrk print what parseWrk reads.
const report = `
function done(s, latency, requests)
  local e = s.errors
  io.write(string.format("result %d %d %d %d %d %d\n", s.requests, e.connect + e.read + e.write + e.status + e.timeout,
    s.duration, latency:percentile(50), latency:percentile(99), latency:percentile(99.9)))
end
`

// wrk returns a load of one thread with so many connections. script is Lua that sets the request.
func wrk(path string, connections int, script string) func(context.Context, *lab, string, time.Duration) (outcome, error) {
	return func(ctx context.Context, l *lab, url string, d time.Duration) (outcome, error) {
		file := filepath.Join(l.dir, "wrk.lua")
		if err := os.WriteFile(file, []byte(script+report), 0o600); err != nil {
			return outcome{}, err
		}
		// wrk takes whole seconds only: a longer run is interrupted, and reports what it has.
		whole := int(d/time.Second) + 2
		c := exec.CommandContext(ctx, "wrk", "-t1", "-c"+strconv.Itoa(connections), "-d"+strconv.Itoa(whole)+"s", "--timeout", "5s", "-s", file, url+path)
		var out strings.Builder
		c.Stdout, c.Stderr = &out, &out
		if err := c.Start(); err != nil {
			return outcome{}, err
		}
		timer := time.AfterFunc(d, func() { c.Process.Signal(os.Interrupt) })
		defer timer.Stop()
		if err := c.Wait(); err != nil {
			return outcome{}, fmt.Errorf("wrk: %w: %s", err, out.String())
		}
		return parseWrk(out.String())
	}
}

func parseWrk(out string) (outcome, error) {
	_, rest, ok := strings.Cut(out, "result ")
	var o outcome
	var micros float64
	if !ok {
		return o, fmt.Errorf("wrk reported nothing: %s", out)
	}
	if _, err := fmt.Sscan(rest, &o.requests, &o.failed, &micros, &o.p50, &o.p99, &o.p999); err != nil {
		return o, fmt.Errorf("read wrk's report %q: %w", rest, err)
	}
	o.seconds = micros / 1e6
	if o.requests == 0 || o.failed > o.requests/1000 {
		return o, fmt.Errorf("%.0f of %.0f requests failed: %s", o.failed, o.requests, out)
	}
	return o, nil
}
