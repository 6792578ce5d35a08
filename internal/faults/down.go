// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net/http"
	"slices"
	"time"
)

// allDown is F8: every node is killed, and all come back after two seconds.
var allDown = &fault{
	id: "F8", title: "all nodes killed, back after 2 s", nodes: 3, least: 7 * time.Second,
	inject: func(r *run) error {
		for r.wait(500*time.Millisecond, 1500*time.Millisecond) && r.left(5*time.Second) {
			r.breaks(r.nodes[0])
			for _, n := range r.nodes {
				if err := n.kill(); err != nil {
					return err
				}
			}
			r.spells[len(r.spells)-1].whole = r.now()
			r.wait(2*time.Second, 2*time.Second)
			for _, n := range r.nodes {
				if err := n.start(); err != nil {
					return err
				}
			}
			r.mends()
			r.wait(3*time.Second, 3*time.Second)
		}
		return nil
	},
	judge: func(o *outcome) (wrong []string) {
		unclear, alone := 0, 0
		for i := range o.requests {
			r := &o.requests[i]
			switch {
			case !r.failed() || o.cutByKill(r):
			case r.v != refused:
				unclear++
			case !o.within(r.due, r.end(), -slack, 5*time.Second):
				alone++
			}
		}
		if unclear > 0 {
			wrong = append(wrong, fmt.Sprintf("%d requests failed otherwise than with 503 and Retry-After, or with 502 where they were at a node that was killed", unclear))
		}
		if alone > 0 {
			wrong = append(wrong, fmt.Sprintf("%d requests failed while no node was down", alone))
		}
		if n := len(o.requests); o.requests[n-1].failed() {
			wrong = append(wrong, "it has not recovered by the end of the load")
		}
		return wrong
	},
	more: func(all []*outcome) string {
		var took []time.Duration
		recovered, cut, begun := time.Duration(0), 0, 0
		for _, o := range all {
			for i := range o.requests {
				r := &o.requests[i]
				if r.v == refused {
					took = append(took, r.took)
				}
				if o.cutByKill(r) {
					cut++
					begun += min(1, len(r.on))
				}
				for _, s := range o.spells {
					if r.failed() && r.due >= s.to && r.due < s.to+3*time.Second {
						recovered = max(recovered, r.due-s.to)
					}
				}
			}
		}
		slices.Sort(took)
		return fmt.Sprintf("503 with Retry-After: %d, p99 %s; 502 while the nodes were killed: %d, of which a node had begun %d; last failure %s after the nodes were back",
			len(took), ms(quantile(took, 0.99)), cut, begun, ms(recovered))
	},
}

// cutByKill reports whether a request got 502 because it was under way when its node was killed: nobody knows then whether it was executed,
// so that 503, which would say that it was not, is not for it.
func (o *outcome) cutByKill(r *request) bool {
	if r.v != gateway || r.status != http.StatusBadGateway {
		return false
	}
	for _, s := range o.spells {
		if r.end() >= s.from-slack && r.due <= s.whole+slack {
			return true
		}
	}
	return false
}

// within reports whether the time from one moment to another has a part in which something was broken, where that is counted from a
// while after it broke to a while after it was mended.
func (o *outcome) within(from, to, after, until time.Duration) bool {
	for _, s := range o.spells {
		if to >= s.from+after && from <= s.to+until {
			return true
		}
	}
	return false
}
