// SPDX-License-Identifier: Apache-2.0

// Package loadgen makes load for tests and benchmarks: an open loop at a constant rate, in which a slow answer delays
// no later request, and every request's latency counts from when it was due.
//
// It knows nothing of what a request is. Run owns all of its goroutines.
//
//	r := loadgen.Run(ctx, loadgen.Config{Rate: 200, Do: func(ctx context.Context, n int) error { … }})
//	if r.Failed > 0 { t.Errorf("%s", r) }
package loadgen

import (
	"context"
	"fmt"
	"slices"
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
	latencies                 []time.Duration
}

// Quantile returns the latency below which the share q of all requests stayed, 0..1. Zero without requests.
func (r *Result) Quantile(q float64) time.Duration {
	if len(r.latencies) == 0 {
		return 0
	}
	slices.Sort(r.latencies)
	return r.latencies[min(len(r.latencies)-1, int(q*float64(len(r.latencies))))]
}

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

// Run makes load until ctx ends, and returns when the last request has ended. Requests that are under way when ctx ends
// are given ctx's end to notice and are not counted.
func Run(ctx context.Context, cfg Config) *Result {
	if cfg.Rate == 0 {
		cfg.Rate = 100
	}
	if cfg.MaxInFlight == 0 {
		cfg.MaxInFlight = 1024
	}
	g := &generator{cfg: cfg, start: time.Now(), slots: make(chan struct{}, cfg.MaxInFlight)}
	g.result.Errors = map[string]int{}
	interval := time.Duration(float64(time.Second) / cfg.Rate)
	timer := time.NewTimer(0)
	defer timer.Stop()
	var requests sync.WaitGroup
	for n := 0; ; n++ {
		due := g.start.Add(time.Duration(n) * interval)
		timer.Reset(time.Until(due))
		select {
		case <-ctx.Done():
			requests.Wait()
			return &g.result
		case <-timer.C:
		}
		select {
		case g.slots <- struct{}{}:
			requests.Go(func() { g.one(ctx, n, due) })
		default:
			g.note(due, fmt.Errorf("%d requests are under way already", cfg.MaxInFlight))
		}
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
	r.latencies = append(r.latencies, now.Sub(due))
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
