// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"slices"
	"time"
)

// resetting is the first half of F5: every connection to a node is reset, those that are open and those that come.
var resetting = &fault{
	id: "F5a", title: "RST storm for 2 s", nodes: 3, least: 4 * time.Second,
	inject: func(r *run) error {
		for r.wait(500*time.Millisecond, 1500*time.Millisecond) && r.left(2300*time.Millisecond) {
			if err := r.behave(r.any(), conduct{Reset: true}, 2*time.Second); err != nil {
				return err
			}
			r.wait(time.Second, time.Second)
		}
		return nil
	},
	judge: repeatableHold,
}

// flapping is the second half: a node is there for a second and gone for a second, again and again.
var flapping = &fault{
	id: "F5b", title: "flapping: a second up, a second down", nodes: 3, least: 8 * time.Second,
	inject: func(r *run) error {
		n := r.any()
		for r.wait(500*time.Millisecond, 1500*time.Millisecond) && r.left(1300*time.Millisecond) {
			if err := r.behave(n, conduct{Refuse: true}, time.Second); err != nil {
				return err
			}
		}
		return nil
	},
	judge: func(o *outcome) []string {
		wrong := repeatableHold(o)
		for _, s := range o.spells[:min(1, len(o.spells))] {
			if out, most := o.verdicts, stepsWithin(o.length-s.from); out > most {
				wrong = append(wrong, fmt.Sprintf("it was found down or ejected %d times; a hold that doubles allows %d", out, most))
			}
		}
		return wrong
	},
	more: func(all []*outcome) string {
		down, out, back, flaps := 0, 0, 0, 0
		for _, o := range all {
			down, out, back, flaps = down+o.verdicts, out+o.left, back+o.back, flaps+len(o.spells)
		}
		if all[0].kind == "nginx" {
			return fmt.Sprintf("in %d times that it was gone it was disabled %d times; nginx does not say when that ends", flaps, down)
		}
		return fmt.Sprintf("in %d times that it was gone it was taken out %d times and taken back %d times; %d of the first were verdicts of down or ejected, not one refused connection",
			flaps, out, back, down)
	},
}

// firstHold is how long the edge holds a node down that went down again soon after it came back; it doubles each time. The time before is not
// held at all. That is two intervals of checks.
const firstHold = 2 * time.Second

// stepsWithin returns how often a node can be found down in a time if each time after the first it has been held for twice as long.
func stepsWithin(d time.Duration) int {
	n := 2 // one without a hold, and one after it
	for hold, spent := firstHold, time.Duration(0); spent+hold <= d; hold *= 2 {
		spent += hold
		n++
	}
	return n
}

// partial is F6: a node's answers break off.
var partial = &fault{
	id: "F6", title: "answers break off, for 2 s", nodes: 3, least: 4 * time.Second,
	inject: func(r *run) error {
		for r.wait(500*time.Millisecond, 1500*time.Millisecond) && r.left(2300*time.Millisecond) {
			if err := r.behave(r.any(), conduct{Partial: true}, 2*time.Second); err != nil {
				return err
			}
			r.wait(time.Second, time.Second)
		}
		return nil
	},
	judge: func(o *outcome) []string {
		elsewhere := 0
		for i := range o.requests {
			if r := &o.requests[i]; r.failed() && !o.isBroken(r) {
				elsewhere++
			}
		}
		if elsewhere > 0 {
			return []string{fmt.Sprintf("%d requests failed that were not at the node whose answers break off", elsewhere)}
		}
		return nil
	},
}

// isBroken reports whether a request was at a node while that was broken.
func (o *outcome) isBroken(r *request) bool {
	for _, s := range o.spells {
		if slices.Contains(r.on, s.node) && r.end() >= s.from && r.due <= s.to+slack {
			return true
		}
	}
	return false
}

// stale is F7: nodes close connections that are unused, many of them just when they are used again.
var stale = &fault{
	id: "F7", title: "unused connections are closed after 0 to 30 ms", nodes: 3, least: 3 * time.Second, whole: true,
	inject: func(r *run) error {
		r.breaks(r.nodes[0])
		for _, n := range r.nodes {
			if err := n.do(conduct{Idle: 30 * time.Millisecond}); err != nil {
				return err
			}
		}
		<-r.ctx.Done()
		r.mends()
		return nil
	},
	judge: repeatableHold,
}
