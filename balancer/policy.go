// SPDX-License-Identifier: Apache-2.0

package balancer

import (
	"slices"

	"meridian/topology"
)

// policy chooses among nodes that can be picked alike. Immutable, shared by all picks of a pool.
type policy interface {
	// choose returns a node of the list, which is one of g's, that is open to w, or nil where none is. round keeps the draws of a
	// repeated choice apart. Nothing in w is changed.
	choose(g *group, l *list, w wish, round uint64) *entry
}

// wish is a Request as the policies need it. It is passed by value: through an interface's method a pointer would allocate.
type wish struct {
	tried  []topology.NodeID
	route  *Route
	now    int64 // Unix nanoseconds
	rand   uint64
	key    uint64
	hasKey bool
	demand demand
	// allowed are the flags of a node that don't keep it from being picked.
	allowed uint32
}

func policyOf(p *topology.Pool) policy {
	switch p.EffectivePolicy() {
	case topology.PolicyLeastRequest:
		return leastRequest{}
	case topology.PolicyRandom:
		return random{}
	case topology.PolicyWeightedRoundRobin:
		return roundRobin{}
	case topology.PolicyMaglev, topology.PolicyRing:
		return hashed{load: p.Hash.WithDefaults().Load}
	}
	return latency{}
}

// allows reports whether w may have the node as things stand.
func (w *wish) allows(e *entry) bool {
	return !(len(w.tried) > 0 && slices.Contains(w.tried, e.node.Name)) && e.open(w.now, w.demand)
}

// draw returns the k-th number below n out of one draw of 64 random bits: splitmix64's k-th output from that seed
// (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014), scaled by Lemire's multiplication.
func draw(seed, k uint64, n int) int {
	x := seed + (k+1)*0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	x ^= x >> 31
	return int((x >> 32) * uint64(n) >> 32)
}
