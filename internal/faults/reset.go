// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
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
	judge: repeatableHold,
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
		if r.on == s.node && r.end() >= s.from && r.due <= s.to+slack {
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
