// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"slices"
	"time"
)

// brownedOut is F3: a node takes 50 times as long and fails a tenth of its requests, while its checks pass.
var brownedOut = &fault{
	id: "F3", title: "brown-out: 50 × slower, 10 % errors, for 6 s", nodes: 3, least: 9 * time.Second,
	inject: func(r *run) error {
		for r.wait(500*time.Millisecond, 1500*time.Millisecond) && r.left(6500*time.Millisecond) {
			if err := r.behave(r.any(), conduct{Delay: 245 * time.Millisecond, Errors: 10}, 6*time.Second); err != nil {
				return err
			}
			r.wait(time.Second, time.Second)
		}
		return nil
	},
	judge: func(o *outcome) (wrong []string) {
		if n := o.repeatable + o.others - o.statuses[500]; n > 0 {
			wrong = append(wrong, fmt.Sprintf("%d requests failed in another way than the node's own", n))
		}
		late, all := o.onBroken(shifted)
		if 10*late*3 > all { // a node's share is a third
			wrong = append(wrong, fmt.Sprintf("2 s after, %d of %d requests went to the slow node still, more than a tenth of its share", late, all))
		}
		return wrong
	},
	more: func(all []*outcome) string {
		var before, after []time.Duration
		there, of := 0, 0
		for _, o := range all {
			if o.control != nil {
				before = append(before, o.control.latencies()...)
			}
			for i := range o.requests {
				if r := &o.requests[i]; o.since(r.due, settled) {
					after = append(after, r.took)
				}
			}
			n, m := o.onBroken(shifted)
			there, of = there+n, of+m
		}
		slices.Sort(before)
		slices.Sort(after)
		return fmt.Sprintf("p99 from %s after the onset %s (%d requests), without the fault %s; from %s after, %d of %d requests at the slow node",
			settled, ms(quantile(after, 0.99)), len(after), ms(quantile(before, 0.99)), shifted, there, of)
	},
}

// From shifted after its onset a brown-out gets hardly any traffic, and from settled on latencies are to be twice the usual at most.
const (
	shifted = 2 * time.Second
	settled = 5 * time.Second
)

// since reports whether something is broken at a moment, and has been for a while.
func (o *outcome) since(at, after time.Duration) bool {
	return slices.ContainsFunc(o.spells, func(s spell) bool { return at >= s.from+after && at < s.to })
}

// behave has a node conduct itself so for a while.
func (r *run) behave(n *backend, c conduct, d time.Duration) error {
	r.breaks(n)
	if err := n.do(c); err != nil {
		return err
	}
	r.wait(d, d)
	err := n.do(conduct{})
	r.mends()
	return err
}

// onBroken returns how many requests began on the broken node later than a while after it broke, and how many on all nodes then.
func (o *outcome) onBroken(after time.Duration) (there, all int) {
	for i := range o.requests {
		r := &o.requests[i]
		for _, s := range o.spells {
			if r.due >= s.from+after && r.due < s.to {
				all++
				if slices.Contains(r.on, s.node) {
					there++
				}
			}
		}
	}
	return there, all
}
