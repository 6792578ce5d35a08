// SPDX-License-Identifier: Apache-2.0

package loadgen

import (
	"context"
	"errors"
	"sync"
	"time"
)

// Lane is one client, on which one exchange follows the other: a connection, or a stream's worth of one.
type Lane interface {
	// Exchange sends a request and waits for the whole of its answer. It must end soon after ctx does.
	Exchange(ctx context.Context) error
	// Close gives up what the lane holds.
	Close() error
}

// Lanes are clients that make load together. They must be closed.
type Lanes struct {
	all []Lane
}

// openers is how many lanes are opened at once.
const openers = 16

// OpenLanes has n lanes opened; each has made its first exchange, so that no measurement counts a handshake of its
// connection. An error closes them all.
func OpenLanes(ctx context.Context, n int, open func(i int) (Lane, error)) (*Lanes, error) {
	l := &Lanes{all: make([]Lane, n)}
	errs := make([]error, openers)
	var wg sync.WaitGroup
	for first := range openers {
		wg.Go(func() {
			for i := first; i < n && errs[first] == nil && ctx.Err() == nil; i += openers {
				if l.all[i], errs[first] = open(i); errs[first] == nil {
					errs[first] = l.all[i].Exchange(ctx)
				}
			}
		})
	}
	wg.Wait()
	if err := errors.Join(append(errs, ctx.Err())...); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// Close closes every lane.
func (l *Lanes) Close() {
	var wg sync.WaitGroup
	for first := range openers {
		wg.Go(func() {
			for i := first; i < len(l.all); i += openers {
				if l.all[i] != nil {
					l.all[i].Close()
				}
			}
		})
	}
	wg.Wait()
}

// Full drives every lane as fast as it goes, for d: a closed loop, which says how much can be served and nothing of how
// long it takes.
func (l *Lanes) Full(ctx context.Context, d time.Duration) *Result {
	results := make([]Result, len(l.all))
	start := time.Now()
	var wg sync.WaitGroup
	for i, lane := range l.all {
		wg.Go(func() {
			g := &generator{start: start}
			g.result.Errors = map[string]int{}
			for due := start; due.Sub(start) < d && ctx.Err() == nil; due = time.Now() {
				g.note(due, lane.Exchange(ctx))
			}
			results[i] = g.result
		})
	}
	wg.Wait()
	sum := Result{Errors: map[string]int{}}
	for i := range results {
		sum.merge(&results[i])
	}
	return &sum
}

// AtRate makes rate exchanges a second for d: an open loop. One that finds no lane free waits for the first that is, and
// the wait counts. The lanes take turns.
func (l *Lanes) AtRate(ctx context.Context, rate float64, d time.Duration) *Result {
	free := make(chan Lane, len(l.all))
	for _, lane := range l.all {
		free <- lane
	}
	return Run(ctx, Config{Rate: rate, Duration: d, Exact: true, MaxInFlight: int(rate*d.Seconds()) + 1, Do: func(ctx context.Context, _ int) error {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case lane := <-free:
			defer func() { free <- lane }()
			return lane.Exchange(ctx)
		}
	}})
}

// merge adds what another loop has counted that ran at the same time.
func (r *Result) merge(o *Result) {
	if o.Failed > 0 {
		if r.Failed == 0 || o.FirstFailure < r.FirstFailure {
			r.FirstFailure = o.FirstFailure
		}
		r.LastFailure = max(r.LastFailure, o.LastFailure)
	}
	r.Sent += o.Sent
	r.Failed += o.Failed
	r.latencies.Merge(&o.latencies)
	for text, n := range o.Errors {
		if len(r.Errors) < maxErrors || r.Errors[text] > 0 {
			r.Errors[text] += n
		}
	}
}
