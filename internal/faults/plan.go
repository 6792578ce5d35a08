// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
)

// plan is what to try.
type plan struct {
	programs programs
	faults   []*fault
	kinds    []string // of proxies
	requests int      // a fault, over all seeds
	rate     float64
	seed     uint64
	seeds    int
	into     string
	verbose  bool
	command  string
}

// result is what came of all seeds of one fault before one proxy.
type result struct {
	fault         *fault
	kind          string
	control, with []*outcome
}

type results []*result

// run tries one after the other: each has the machine for itself.
func (p *plan) run(ctx context.Context) (results, error) {
	var all results
	for _, f := range p.faults {
		for _, kind := range p.kinds {
			if f.alone && kind != "edge" {
				continue
			}
			r := &result{fault: f, kind: kind}
			for i := range p.seeds {
				t := trial{f, kind, p.seed + uint64(i), p.rate, p.requests / p.seeds, p.programs}
				control, with, err := t.run(ctx)
				if err != nil {
					return nil, err
				}
				if p.verbose {
					fmt.Fprintf(os.Stderr, "control: %s\n%s\n", control, with)
				}
				r.control, r.with = append(r.control, control), append(r.with, with)
			}
			fmt.Fprintf(os.Stderr, "%s before %s: %s\n", f.id, kind, r.line())
			all = append(all, r)
		}
	}
	return all, nil
}

// wrong says what the edge did not hold.
func (all results) wrong() (wrong []string) {
	for _, r := range all {
		if r.kind == "edge" {
			wrong = append(wrong, r.wrong()...)
		}
	}
	return wrong
}

func (r *result) wrong() (wrong []string) {
	for _, o := range r.control {
		for _, w := range append(none(o), always(o)...) {
			wrong = append(wrong, fmt.Sprintf("%s, seed %d, without the fault: %s", o.fault.id, o.seed, w))
		}
	}
	for _, o := range r.with {
		if len(o.spells) == 0 {
			wrong = append(wrong, fmt.Sprintf("%s, seed %d: the fault has not happened", o.fault.id, o.seed))
		}
		for _, w := range append(o.fault.judge(o), always(o)...) {
			wrong = append(wrong, fmt.Sprintf("%s, seed %d: %s", o.fault.id, o.seed, w))
		}
	}
	return wrong
}
