// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"io"
	"time"

	"meridian/balancer/sim"
)

var titles = [tables]string{
	withChecks: "With the same checks, ejection and retries for all",
	bare:       "Without checks, ejection and retries",
}

// report writes the tables as Markdown.
func report(w io.Writer, o *outcome, full bool) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "Seeds %d to %d, loads %v of capacity. Intervals are of 95 %%.\n", o.seed, o.seed+uint64(o.seeds)-1, o.loads)
	for t, title := range titles {
		fmt.Fprintf(&b, "\n## %s\n\n", title)
		o.summary(&b, t)
	}
	o.limitTable(&b)
	if full {
		for t, title := range titles {
			fmt.Fprintf(&b, "\n## All figures: %s\n", lower(title))
			for i, c := range o.cells[t] {
				if i%len(o.loads) == 0 {
					fmt.Fprintf(&b, "\n### %s\n\n%s.\n\n", c.scenario.Name, c.scenario.About)
					b.WriteString("| load | policy | p50, ms | p99, ms | p99.9, ms | errors, % | imbalance |\n| --- | --- | --- | --- | --- | --- | --- |\n")
				}
				o.figures(&b, &c)
			}
		}
	}
	_, err := w.Write(b.Bytes())
	return err
}

func lower(s string) string { return string(s[0]|0x20) + s[1:] }

// summary writes ours beside the best other, the counts, and where ours loses.
func (o *outcome) summary(b *bytes.Buffer, table int) {
	b.WriteString("p99 of ours as a multiple of the best other's, with its interval and whose that is.\n\n| scenario |")
	for _, l := range o.loads {
		fmt.Fprintf(b, " load %v |", l)
	}
	b.WriteString("\n| --- |")
	for range o.loads {
		b.WriteString(" --- |")
	}
	var all []comparison
	for i := range o.cells[table] {
		c := o.compare(&o.cells[table][i])
		all = append(all, c)
		if i%len(o.loads) == 0 {
			fmt.Fprintf(b, "\n| %s |", c.cell.scenario.Name)
		}
		fmt.Fprintf(b, " %.2f (%.2f–%.2f) %s, %s |", c.p99.mean, c.p99.low, c.p99.high, c.rival.Name, c.verdict)
	}
	b.WriteString("\n\n")
	o.counts(b, all)
}

// counts says in how many scenarios ours is how good. A scenario counts by the worst and by the best of its loads.
func (o *outcome) counts(b *bytes.Buffer, all []comparison) {
	var cells [beyond + 1]int
	everywhere, somewhere, beaten := 0, 0, 0
	for i := 0; i < len(all); i += len(o.loads) {
		worst, top := best, beyond
		for _, c := range all[i : i+len(o.loads)] {
			cells[c.verdict]++
			worst, top = max(worst, c.verdict), min(top, c.verdict)
		}
		if worst <= within {
			everywhere++
		}
		if top == best {
			somewhere++
		}
		if worst == best {
			beaten++
		}
	}
	fmt.Fprintf(b, "Of %d cells ours is strictly the best in %d, within 5 %% in %d more, undecided in %d, beyond in %d. Of %d scenarios it is within 5 %% or "+
		"the best at all loads in %d, strictly the best at some load in %d, at all loads in %d.\n\n",
		len(all), cells[best], cells[within], cells[undecided], cells[beyond], len(all)/len(o.loads), everywhere, somewhere, beaten)
	lost := false
	for _, c := range all {
		if c.errorsAbove() {
			lost = true
			fmt.Fprintf(b, "* %s at %v: %.3f ± %.3f %% more of the requests fail than with %s.\n",
				c.cell.scenario.Name, c.cell.load, 100*c.errors.mean, 100*c.errors.half, c.errorsRival.Name)
		}
	}
	if !lost {
		b.WriteString("Nowhere do more requests fail than with the policy with the fewest errors.\n")
	}
}

// limitTable says how 20 edges together keep to the capacities of nodes.
func (o *outcome) limitTable(b *bytes.Buffer) {
	s := sim.Limited()
	fmt.Fprintf(b, "\n## A node's limit, kept by all edges together\n\n%s. Reports are one second old. As shares of the limit: the mean, and the "+
		"most at any moment (in flight) or in any second (requests a second) of any seed.\n\n", s.About)
	b.WriteString("| load | in flight, mean | in flight, most | requests/s, mean | requests/s, most | errors, % |\n| --- | --- | --- | --- | --- | --- |\n")
	for l, results := range o.limits {
		mean := intervalOf(column(results, func(r *sim.Result) float64 { return r.Limits[0].Mean }))
		rps := intervalOf(column(results, func(r *sim.Result) float64 { return r.Limits[1].MeanRPS }))
		errors := intervalOf(column(results, func(r *sim.Result) float64 { return 100 * r.ErrorRatio() }))
		most, mostRPS := 0.0, 0.0
		for i := range results {
			most, mostRPS = max(most, results[i].Limits[0].Most), max(mostRPS, results[i].Limits[1].MostRPS)
		}
		fmt.Fprintf(b, "| %v | %.2f ± %.2f | %.2f | %.2f ± %.2f | %.2f | %.3f ± %.3f |\n",
			o.loads[l], mean.mean, mean.half, most, rps.mean, rps.half, mostRPS, errors.mean, errors.half)
	}
}

// figures writes a line for each policy.
func (o *outcome) figures(b *bytes.Buffer, c *cell) {
	for p, results := range c.results {
		fmt.Fprintf(b, "| %v | %s |", c.load, o.policies[p].Name)
		for _, of := range []func(*sim.Result) time.Duration{
			func(r *sim.Result) time.Duration { return r.P50 },
			func(r *sim.Result) time.Duration { return r.P99 },
			func(r *sim.Result) time.Duration { return r.P999 },
		} {
			ms := intervalOf(column(results, func(r *sim.Result) float64 { return of(r).Seconds() * 1e3 }))
			fmt.Fprintf(b, " %.1f ± %.1f |", ms.mean, ms.half)
		}
		errors := intervalOf(column(results, func(r *sim.Result) float64 { return 100 * r.ErrorRatio() }))
		imbalance := intervalOf(column(results, func(r *sim.Result) float64 { return r.Imbalance }))
		fmt.Fprintf(b, " %.3f ± %.3f | %.2f ± %.2f |\n", errors.mean, errors.half, imbalance.mean, imbalance.half)
	}
}
