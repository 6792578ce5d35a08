// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"

	"meridian/balancer/sim"
)

// withinRatio is how much above the best p99 ours may be.
const withinRatio = 1.05

// verdict says how ours stands in a cell, as far as the intervals tell.
type verdict int

const (
	best      verdict = iota // below every other's p99
	within                   // at most 5 % above the best
	undecided                // the interval reaches over 5 %, and below
	beyond                   // more than 5 % above
)

func (v verdict) String() string {
	return [...]string{"best", "within 5 %", "undecided", "**beyond**"}[v]
}

// comparison is ours beside the best of the others in a cell.
type comparison struct {
	cell    *cell
	rival   sim.Policy // with the least p99 of the others
	p99     ratio      // ours to the rival's
	verdict verdict
	// errors is by how much our share of errors is above the least of the others', 0..1.
	errors      interval
	errorsRival sim.Policy
}

// errorsAbove reports whether ours fails more requests than the best other.
func (c *comparison) errorsAbove() bool { return c.errors.low() > 0 }

// p99s returns the p99 of each seed, in seconds.
func p99s(results []sim.Result) []float64 {
	return column(results, func(r *sim.Result) float64 { return r.P99.Seconds() })
}

func column(results []sim.Result, of func(*sim.Result) float64) []float64 {
	out := make([]float64, len(results))
	for i := range results {
		out[i] = of(&results[i])
	}
	return out
}

// compare compares ours with the others in a cell.
func (o *outcome) compare(c *cell) comparison {
	ours := slices.IndexFunc(o.policies, func(p sim.Policy) bool { return p.Name == sim.Meridian.Name })
	mine := p99s(c.results[ours])
	out := comparison{cell: c, verdict: best}
	errors := column(c.results[ours], (*sim.Result).ErrorRatio)
	first := true
	for p, results := range c.results {
		if p == ours {
			continue
		}
		r := ratioOf(mine, p99s(results))
		if r.high >= 1 {
			out.verdict = max(out.verdict, within)
		}
		if first || r.mean > out.p99.mean {
			out.p99, out.rival = r, o.policies[p]
		}
		more := column(results, (*sim.Result).ErrorRatio)
		for i := range more {
			more[i] = errors[i] - more[i]
		}
		if d := intervalOf(more); first || d.mean > out.errors.mean {
			out.errors, out.errorsRival = d, o.policies[p]
		}
		first = false
	}
	switch {
	case out.verdict == best:
	case out.p99.low > withinRatio:
		out.verdict = beyond
	case out.p99.high > withinRatio:
		out.verdict = undecided
	}
	return out
}
