// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"math"
	"time"

	"meridian/internal/loadgen"
)

// figures are what one proxy did in one round.
type figures struct {
	outcome
	cpu float64 // microseconds a request
}

// row is one proxy's rounds: at full speed and at half of the slowest's.
type row struct {
	peer       *peer
	full, half []figures
	rss        int64 // after the last round
}

// warmUp is how long a proxy is driven before it counts: connections to the nodes, memory, caches.
const warmUp = 300 * time.Millisecond

// measure runs a scenario, first all rounds at full speed and then, since only they say how much is half, those at a
// constant rate.
func (l *lab) measure(ctx context.Context, s scenario, o options) ([]*row, error) {
	var rows []*row
	for _, p := range l.peers {
		if p.addrs[s.protocol] == "" {
			continue
		}
		rows = append(rows, &row{peer: p})
		l.atFullSpeed(ctx, s, p, warmUp) // what is wrong with it, the rounds say; too slow for an answer, it has warmed up
	}
	err := inTurns(ctx, rows, o.rounds, func(r *row) error {
		f, err := l.atFullSpeed(ctx, s, r.peer, o.duration)
		if err == nil {
			r.full = append(r.full, f)
		}
		return err
	})
	if err == nil {
		rate := halfOfTheSlowest(rows)
		err = inTurns(ctx, rows, o.rounds, func(r *row) error {
			f, err := l.driven(ctx, s, r.peer, func(c *loadgen.Lanes) *loadgen.Result { return c.AtRate(ctx, rate, o.duration) })
			if err == nil {
				r.half, r.rss = append(r.half, f), r.peer.proc.rss()
			}
			return err
		})
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.name, err)
	}
	return rows, nil
}

// tries is how often a round is begun that fails. On a machine that others keep busy a load can pass without one answer.
const tries = 3

// inTurns has every row measured once in each round, each time beginning with another one.
func inTurns(ctx context.Context, rows []*row, rounds int, f func(*row) error) error {
	n := len(rows)
	for round := range rounds {
		for i := range rows {
			if round%2 == 1 { // backwards, so that no proxy has always the same one before it
				i = n - 1 - i
			}
			r := rows[(i+round)%n]
			err := f(r)
			for again := 1; err != nil && again < tries && ctx.Err() == nil; again++ {
				err = f(r)
			}
			if err != nil {
				return fmt.Errorf("%s: %w", r.peer.name, err)
			}
		}
	}
	return nil
}

func (l *lab) atFullSpeed(ctx context.Context, s scenario, p *peer, d time.Duration) (figures, error) {
	if s.full == nil {
		f, err := l.driven(ctx, s, p, func(c *loadgen.Lanes) *loadgen.Result { return c.Full(ctx, d) })
		f.p50, f.p99, f.p999 = 0, 0, 0 // of a closed loop they say nothing
		return f, err
	}
	before := p.proc.cpu()
	out, err := s.full(ctx, l, p.addrs[s.protocol], d)
	if err != nil {
		return figures{}, err
	}
	return figures{out, (p.proc.cpu() - before) * 1e6 / out.requests}, nil
}

// driven has a scenario's clients make a load, whose opening and closing don't count.
func (l *lab) driven(ctx context.Context, s scenario, p *peer, drive func(*loadgen.Lanes) *loadgen.Result) (figures, error) {
	open, end, err := s.clients(ctx, l, p.addrs[s.protocol])
	if err != nil {
		return figures{}, err
	}
	defer end()
	lanes, err := loadgen.OpenLanes(ctx, s.lanes, open)
	if err != nil {
		return figures{}, err
	}
	defer lanes.Close()
	before, start := p.proc.cpu(), time.Now()
	result := drive(lanes)
	took, used := time.Since(start), p.proc.cpu()-before
	out, err := outcomeOf(result, took)
	return figures{out, used * 1e6 / out.requests}, err
}

// halfOfTheSlowest returns the rate, in requests a second, that everyone can serve well.
func halfOfTheSlowest(rows []*row) float64 {
	slowest := math.Inf(1)
	for _, r := range rows {
		slowest = min(slowest, spreadOf(r.full, rate).median)
	}
	return slowest / 2
}

func rate(f figures) float64 { return f.requests / f.seconds }
