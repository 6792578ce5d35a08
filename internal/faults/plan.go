// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
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
	beside   bool // the proxies at once
	command  string
}

// result is what came of all seeds of one fault before one proxy.
type result struct {
	fault         *fault
	kind          string
	control, with []*outcome
}

type results []*result

// run tries one after the other, each with the machine for itself, or the proxies beside each other.
func (p *plan) run(ctx context.Context) (results, error) {
	var all results
	for _, f := range p.faults {
		found, errs := make(results, len(p.kinds)), make([]error, len(p.kinds))
		var beside sync.WaitGroup
		for i, kind := range p.kinds {
			if f.alone && kind != "edge" {
				continue
			}
			beside.Go(func() { found[i], errs[i] = p.try(ctx, f, kind) })
			if !p.beside {
				beside.Wait()
			}
		}
		beside.Wait()
		if err := errors.Join(errs...); err != nil {
			return nil, err
		}
		all = append(all, slices.DeleteFunc(found, func(r *result) bool { return r == nil })...)
	}
	return all, nil
}

// try tries one fault before one proxy with every seed.
func (p *plan) try(ctx context.Context, f *fault, kind string) (*result, error) {
	r := &result{fault: f, kind: kind}
	for i := range p.seeds {
		t := trial{f, kind, p.seed + uint64(i), p.rate, p.requests / p.seeds, p.programs, usual, true}
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
	return r, nil
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
