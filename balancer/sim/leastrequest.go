// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"time"

	"meridian/balancer"
)

// LeastRequest takes the one of two distinct random nodes that has fewer requests of this edge in flight. Envoy's
// least_request draws with replacement (choice_count 2), which is worse the fewer nodes there are; this is the better one.
var LeastRequest = Policy{Name: "P2C least request", New: func(s Setup) Balancer {
	n := len(s.Scenario.Nodes)
	return &leastRequest{pair: pair{members: newMembers(n), rand: s.Rand}, inFlight: make([]int, n)}
}}

// pair draws two distinct nodes.
type pair struct {
	members
	rand    *Rand
	scratch []int32
}

func (p *pair) Stand(node int, present bool, s balancer.Standing, _ time.Duration) {
	p.stand(node, present, s)
}

// draw returns two distinct nodes, or one twice where there is one only, or -1.
func (p *pair) draw(t *Try) (int, int) {
	nodes := p.untried(t, p.scratch)
	switch len(nodes) {
	case 0:
		return -1, -1
	case 1:
		return int(nodes[0]), int(nodes[0])
	}
	a := p.rand.Below(len(nodes))
	b := p.rand.Below(len(nodes) - 1)
	if b >= a {
		b++
	}
	return int(nodes[a]), int(nodes[b])
}

type leastRequest struct {
	pair
	inFlight []int
}

func (b *leastRequest) Pick(t *Try, _ time.Duration) int {
	x, y := b.draw(t)
	if x < 0 {
		return -1
	}
	if b.inFlight[y] < b.inFlight[x] {
		x = y
	}
	b.inFlight[x]++
	return x
}

func (b *leastRequest) Ended(t *Try, _ Outcome, _, _ time.Duration) { b.inFlight[t.Node]-- }
