// SPDX-License-Identifier: Apache-2.0

package balancer

import (
	"math"
	"slices"
	"time"

	"meridian/topology"
)

// EdgeLoad is what an edge has out at a node.
type EdgeLoad struct {
	Edge topology.EdgeID
	// Node may be empty: then the edge is there and has nothing out, and gets its share nevertheless.
	Node topology.NodeID
	// InFlight is the most requests that were in flight at once in the last second.
	InFlight int
	// PerSecond is how many requests were sent in the last second.
	PerSecond float64
}

// usage is what edges have out at a node together, and how many of them have something.
type usage struct {
	inFlight, perSecond float64
	active              int
}

// edges is how many other edges there are.
type edges int

// idleShare is what an edge that sends a node nothing is left of the node's free capacity, against one that does. Ours: with twenty
// edges, one that alone has traffic comes to half of a node's capacity in four reports and not in fourteen, and one that
// begins has something to begin with.
const idleShare = 0.25

// SetReported says what the other edges have out at the nodes, by their last reports, all at once. What is said stays in force until
// the next call. Edges report once a second, and what was reported may take a second to come here.
//
// A node's capacity is for all edges. Each takes as its limit what it had out itself two seconds ago at least, and its part of what is
// free by the reports:
//
//	limit = own + (capacity − own − others) × 1/active edges
//
// own is the least that the others may have been told of in the last two seconds, so that what one adds is in nobody's sum twice:
// the limits of all edges come to the capacity and not more, whenever each computes its own. Without other edges, all is free.
func (t *Table) SetReported(loads []EdgeLoad) {
	t.mu.Lock()
	defer t.mu.Unlock()
	v := t.view.Load()
	for _, e := range v.nodes {
		e.state.others = usage{}
	}
	names := map[topology.EdgeID]struct{}{}
	for _, l := range loads {
		names[l.Edge] = struct{}{}
		if e := v.nodes[l.Node]; e != nil && (l.InFlight > 0 || l.PerSecond > 0) {
			u := &e.state.others
			u.inFlight += float64(max(0, l.InFlight))
			u.perSecond += max(0, l.PerSecond)
			u.active++
		}
	}
	t.edges = edges(len(names))
	for _, e := range v.nodes {
		e.limitLocked(t.edges)
	}
}

// Reported returns what this edge has out at the nodes, for other edges' SetReported, in no order. Edge is left empty.
func (t *Table) Reported() []EdgeLoad {
	t.mu.Lock()
	defer t.mu.Unlock()
	var out []EdgeLoad
	for id, e := range t.view.Load().nodes {
		if l := (EdgeLoad{Node: id, InFlight: e.state.peakLocked(0), PerSecond: e.state.perSecond()}); l.InFlight > 0 || l.PerSecond > 0 {
			out = append(out, l)
		}
	}
	return out
}

func (st *state) perSecond() float64 { return float64(st.picks.Load() - st.picksBefore.Load()) }

// peakLocked returns the most that was in flight in the second that ended so many ticks ago. The caller holds Table.mu.
func (st *state) peakLocked(ago int) int {
	most := uint32(0)
	for i := range picksKept {
		most = max(most, st.inFlightAt[(st.tick+2*len(st.inFlightAt)-ago-i)%len(st.inFlightAt)])
	}
	return int(most)
}

// leastPeakLocked returns the least that Reported can have said in the last two seconds. The caller holds Table.mu.
func (st *state) leastPeakLocked() int {
	least := st.peakLocked(0)
	for ago := 1; ago <= 2*picksKept; ago++ {
		least = min(least, st.peakLocked(ago))
	}
	return least
}

// part returns this edge's part of a capacity of which it has own out, and how much others have.
func (u usage) part(capacity, own, theirs float64, n edges) float64 {
	if n == 0 {
		return capacity
	}
	mine := idleShare
	if own > 0 {
		mine = 1
	}
	sum := mine + float64(u.active) + idleShare*float64(max(0, int(n)-u.active))
	return max(0, own+(capacity-own-theirs)*mine/sum)
}

// limitLocked publishes the node's limits as they are for this edge. The caller holds Table.mu.
func (e *entry) limitLocked(n edges) {
	st, c := e.state, e.node.Capacity
	use := e.group.pool.spec.EffectiveUtilization()
	most := 0.0
	if c.Connections > 0 {
		most = float64(c.Connections)
		if n > 0 {
			most = max(1, st.others.part(most, float64(st.leastPeakLocked()), st.others.inFlight, n))
		}
	}
	if a := st.adapt.Load(); a != nil && a.limit > 0 {
		if most == 0 || a.limit < most {
			most = a.limit
		}
	}
	if most == 0 {
		st.limits.Store(0)
	} else {
		hard := math.Floor(most)
		st.limits.Store(uint64(math.Ceil(hard*use-1e-9))<<32 | uint64(hard))
	}
	if c.RPS <= 0 {
		st.interval.Store(0)
		st.busy.Store(false)
		return
	}
	rps := c.RPS
	if n > 0 {
		own := float64(slices.Min(st.rateAt[:]))
		rps = max(c.RPS/float64(n+1)/10, st.others.part(rps, own, st.others.perSecond, n))
	}
	st.interval.Store(max(1, int64(float64(time.Second)/rps)))
	st.busy.Store(st.perSecond() >= use*rps)
}

// adaptLocked has the node's limit follow its answers, if the pool wants that. The caller holds Table.mu.
func (e *entry) adaptLocked(now int64) {
	st, bounds := e.state, e.group.pool.spec.Limit
	a := st.adapt.Load()
	switch {
	case !bounds.Adaptive:
		st.adapt.Store(nil)
		return
	case a == nil:
		a = &adaptive{}
		st.adapt.Store(a)
	}
	a.adaptLocked(now, st.peakLocked(0), bounds.WithDefaults())
}

// bounds returns the requests in flight that the node may have, and below its pool's utilization; 0 for no bound.
func (st *state) bounds() (hard, soft uint64) {
	w := st.limits.Load()
	return w & math.MaxUint32, w >> 32
}
