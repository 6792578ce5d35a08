// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"time"

	"meridian/balancer"
)

// RoundRobin takes the nodes in turn, from a random one on.
var RoundRobin = Policy{Name: "round robin", New: func(s Setup) Balancer {
	n := len(s.Scenario.Nodes)
	return &roundRobin{members: newMembers(n), turn: s.Rand.Below(n), n: n}
}}

type roundRobin struct {
	members
	turn, n int
}

func (b *roundRobin) Stand(node int, present bool, s balancer.Standing, _ time.Duration) {
	b.stand(node, present, s)
}

func (b *roundRobin) Pick(t *Try, _ time.Duration) int {
	for range b.n {
		b.turn = (b.turn + 1) % b.n
		if b.has(int32(b.turn)) && !contains(t.Tried, int32(b.turn)) {
			return b.turn
		}
	}
	return -1
}

func (b *roundRobin) Ended(*Try, Outcome, time.Duration, time.Duration) {}
