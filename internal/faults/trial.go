// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// trial is one fault before one proxy with one seed: a control without the fault first, then with it.
type trial struct {
	fault    *fault
	kind     string
	seed     uint64
	rate     float64
	requests int // at least; more where the fault takes longer
	programs programs
	times    times
	large    bool // at full size
}

// controlShare is which part of the requests the control has.
const controlShare = 10

// run returns the outcomes without the fault and with it.
func (t *trial) run(ctx context.Context) (control, with *outcome, err error) {
	s, err := build(ctx, t.programs, t.fault, t.kind, t.times)
	if err != nil {
		return nil, nil, fmt.Errorf("%s before %s: %w", t.fault.id, t.kind, err)
	}
	defer s.end()
	length := max(time.Duration(float64(t.requests)/t.rate*float64(time.Second)), t.fault.least)
	control, err = t.load(ctx, s, length/controlShare, 1, nothing)
	if err != nil {
		return nil, nil, err
	}
	with, err = t.load(ctx, s, length, 1<<32, t.fault.inject)
	if err != nil {
		return nil, nil, err
	}
	with.control = control
	return control, with, nil
}

// load makes load, with requests numbered from first on, and injects meanwhile.
func (t *trial) load(ctx context.Context, s *site, length time.Duration, first uint64, inject func(*run) error) (*outcome, error) {
	during, stop := context.WithTimeout(ctx, length)
	defer stop()
	r := &run{site: s, ctx: during, large: t.large, length: length, random: rand.New(rand.NewPCG(t.seed, 1))}
	l := &load{rate: t.rate, length: length, seed: t.seed, first: first, addr: s.proxy.addr, times: t.times}
	var injecting sync.WaitGroup
	var failure error
	o := &outcome{fault: t.fault, kind: t.kind, seed: t.seed}
	o.requests = l.run(ctx, func(start time.Time) {
		r.start = start
		injecting.Go(func() { failure = inject(r) })
	})
	injecting.Wait()
	if err := errors.Join(failure, ctx.Err()); err != nil {
		return nil, fmt.Errorf("%s before %s: %w", t.fault.id, t.kind, err)
	}
	for _, n := range s.nodes {
		o.nodes = append(o.nodes, n.name)
	}
	did, err := s.executions()
	if err != nil {
		return nil, err
	}
	o.spells, o.notes, o.length = r.spells, r.notes, length
	o.watchFirst(r)
	for _, sp := range r.spells {
		o.found = append(o.found, r.detection(sp))
	}
	o.join(first, did)
	return o, nil
}

// watchFirst counts what the proxy said of the node that was broken first, of all that it has printed by the end.
func (o *outcome) watchFirst(r *run) {
	if len(r.spells) == 0 {
		return
	}
	i := slices.IndexFunc(r.nodes, func(n *backend) bool { return n.name == r.spells[0].node })
	in := true
	for _, c := range r.proxy.changes(r.nodes[i]) {
		turned := c.out == in
		in = !c.out
		switch {
		case c.at.Before(r.start):
			continue
		case turned && c.out:
			o.left++
		case turned:
			o.back++
		}
		if c.out && c.state != "refused" { // which lasts until the next check, and is not held
			o.verdicts++
		}
	}
}

// detection returns after how long the proxy has taken the broken node out, or -1.
func (r *run) detection(s spell) time.Duration {
	for _, n := range r.nodes {
		if n.name != s.node {
			continue
		}
		at := r.proxy.decision(n, r.start.Add(s.from))
		if d := at.Sub(r.start) - s.from; !at.IsZero() && d <= s.to-s.from+time.Second {
			return d
		}
	}
	return -1
}
