// SPDX-License-Identifier: Apache-2.0

// Package loadgen makes load for tests and benchmarks: an open loop at a constant rate, in which a slow answer delays
// no later request, and every request's latency counts from when it was due.
//
// Run knows nothing of what a request is. Lanes are clients for it, over HTTP/1.1, HTTP/2, HTTP/3, WebSocket and SSE, which
// can also be driven as a closed loop at full speed. Run and Lanes own all of their goroutines.
//
//	r := loadgen.Run(ctx, loadgen.Config{Rate: 200, Do: func(ctx context.Context, n int) error { … }})
//	if r.Failed > 0 { t.Errorf("%s", r) }
package loadgen

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"
)

// Config says what load to make.
type Config struct {
	// Rate is requests a second. Zero: 100.
	Rate float64
	// MaxInFlight bounds the requests at once; one that is due while there are as many counts as failed. Zero: 1024.
	MaxInFlight int
	// Duration is how long requests are begun; Run then waits for those under way, which count. Zero: until ctx ends.
	Duration time.Duration
	// Exact has requests begun within about 0.1 ms of when they are due, where the system can, by a thread that sleeps in
	// the kernel; Go's own timers are a millisecond late in an idle process.
	Exact bool
	// Do makes request number n, from 0. It must end soon after ctx does. Called concurrently.
	Do func(ctx context.Context, n int) error
}

// Result is what came of it.
type Result struct {
	Sent, Failed int
	// Errors counts the distinct errors; at most 20 are kept.
	Errors map[string]int
	// FirstFailure and LastFailure are when, counted from the start.
	FirstFailure, LastFailure time.Duration
	latencies                 Histogram
}

// Quantile returns the latency that the share q of all requests, 0..1, did not exceed. Zero without requests.
func (r *Result) Quantile(q float64) time.Duration { return r.latencies.Quantile(q) }

// String sums the result up for a test's log.
func (r *Result) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d requests, %d failed, p50 %s, p99 %s, max %s", r.Sent, r.Failed, r.Quantile(0.5), r.Quantile(0.99), r.Quantile(1))
	if r.Failed > 0 {
		fmt.Fprintf(&b, "; failures from %s to %s:", r.FirstFailure.Round(time.Millisecond), r.LastFailure.Round(time.Millisecond))
		for e, n := range r.Errors {
			fmt.Fprintf(&b, "\n  %d × %s", n, e)
		}
	}
	return b.String()
}

const maxErrors = 20

// Run makes load until ctx ends or Duration is over, and returns when the last request has ended. Requests that are under
// way when ctx ends are given ctx's end to notice and are not counted.
func Run(ctx context.Context, cfg Config) *Result {
	if cfg.Rate == 0 {
		cfg.Rate = 100
	}
	if cfg.MaxInFlight == 0 {
		cfg.MaxInFlight = 1024
	}
	sleep := sleepByTimer
	if cfg.Exact {
		var end func()
		sleep, end = sleepExactly()
		defer end()
	}
	g := &generator{cfg: cfg, start: time.Now(), slots: make(chan struct{}, cfg.MaxInFlight)}
	g.result.Errors = map[string]int{}
	var requests sync.WaitGroup
	for n := 0; ; n++ {
		after := time.Duration(float64(n) / cfg.Rate * float64(time.Second))
		if cfg.Duration > 0 && after >= cfg.Duration {
			break
		}
		due := g.start.Add(after)
		if !sleep(ctx, time.Until(due)) {
			break
		}
		select {
		case g.slots <- struct{}{}:
			requests.Go(func() { g.one(ctx, n, due) })
		default:
			g.note(due, fmt.Errorf("%d requests are under way already", cfg.MaxInFlight))
		}
	}
	requests.Wait()
	return &g.result
}

// sleepByTimer waits for d, and reports whether ctx lasts.
func sleepByTimer(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

type generator struct {
	cfg   Config
	start time.Time
	slots chan struct{}

	mu     sync.Mutex // guards result
	result Result
}

func (g *generator) one(ctx context.Context, n int, due time.Time) {
	defer func() { <-g.slots }()
	err := g.cfg.Do(ctx, n)
	if err != nil && ctx.Err() != nil {
		return
	}
	g.note(due, err)
}

func (g *generator) note(due time.Time, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	r, now := &g.result, time.Now()
	r.Sent++
	r.latencies.Add(now.Sub(due))
	if err == nil {
		return
	}
	if r.Failed++; r.Failed == 1 {
		r.FirstFailure = now.Sub(g.start)
	}
	r.LastFailure = now.Sub(g.start)
	if text := err.Error(); len(r.Errors) < maxErrors || r.Errors[text] > 0 {
		r.Errors[text]++
	}
}
