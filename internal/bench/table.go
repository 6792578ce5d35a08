// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"
)

// figures are what one proxy did in one round.
type figures struct {
	outcome
	cpu float64 // microseconds a request
}

// row is one proxy's rounds.
type row struct {
	peer   *peer
	rounds []figures
	rss    int64
}

// measure runs a scenario: in each round every proxy once, each time beginning with another one.
func (l *lab) measure(ctx context.Context, s scenario, o options) ([]row, error) {
	var rows []row
	for _, p := range l.peers {
		if p.urls[s.scheme] != "" {
			rows = append(rows, row{peer: p})
		}
	}
	for round := range o.rounds {
		for i := range rows {
			r := &rows[(i+round)%len(rows)]
			if round == 0 { // connections to the nodes, memory, caches
				if _, err := s.load(ctx, l, r.peer.urls[s.scheme], 300*time.Millisecond); err != nil {
					return nil, fmt.Errorf("%s: %w", r.peer.name, err)
				}
			}
			before := r.peer.proc.cpu()
			out, err := s.load(ctx, l, r.peer.urls[s.scheme], o.duration)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", r.peer.name, err)
			}
			r.rounds = append(r.rounds, figures{out, (r.peer.proc.cpu() - before) * 1e6 / out.requests})
			r.rss = r.peer.proc.rss()
		}
	}
	return rows, nil
}

// spread is a median with the least and the most.
type spread struct{ median, least, most float64 }

func (r *row) spread(of func(figures) float64) spread {
	var v []float64
	for _, f := range r.rounds {
		v = append(v, of(f))
	}
	return spreadOf(v)
}

func spreadOf(v []float64) spread {
	slices.Sort(v)
	n := len(v)
	return spread{(v[(n-1)/2] + v[n/2]) / 2, v[0], v[n-1]}
}

func (s spread) String() string { return fmt.Sprintf("%.1f (%.1f–%.1f)", s.median, s.least, s.most) }

// printRows prints a scenario's table. A ratio is the median of the rounds' own ratios, the edge's figure over the peer's:
// the rounds of one line were measured within seconds of each other.
func printRows(w io.Writer, name string, rows []row) {
	fmt.Fprintf(w, "\n### %s\n\n", name)
	fmt.Fprintln(w, "| proxy | requests/s | CPU µs/request | p50 ms | p99 ms | p99.9 ms | RSS MiB | edge's CPU to it | edge's p99 to it |")
	fmt.Fprintln(w, "| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
	for i := range rows {
		r := &rows[i]
		fmt.Fprintf(w, "| %s | %.0f | %s | %.2f | %.2f | %.2f | %.1f | %s | %s |\n", r.peer.name,
			r.spread(func(f figures) float64 { return f.requests / f.seconds }).median,
			r.spread(func(f figures) float64 { return f.cpu }),
			r.spread(func(f figures) float64 { return f.p50 / 1000 }).median,
			r.spread(func(f figures) float64 { return f.p99 / 1000 }).median,
			r.spread(func(f figures) float64 { return f.p999 / 1000 }).median,
			float64(r.rss)/(1<<20),
			ratio(&rows[0], r, func(f figures) float64 { return f.cpu }),
			ratio(&rows[0], r, func(f figures) float64 { return f.p99 }))
	}
}

func ratio(a, b *row, of func(figures) float64) string {
	if a == b {
		return "1"
	}
	var v []float64
	for i := range a.rounds {
		v = append(v, of(a.rounds[i])/of(b.rounds[i]))
	}
	s := spreadOf(v)
	return fmt.Sprintf("%.2f (%.2f–%.2f)", s.median, s.least, s.most)
}
