// SPDX-License-Identifier: Apache-2.0

package balancer

import (
	"cmp"
	"slices"
	"sync/atomic"

	"meridian/topology"
)

// view is a snapshot compiled for picking. Immutable, but for each group's list of nodes that are ready.
type view struct {
	revision topology.Revision
	pools    map[topology.PoolID][]*group // in the order in which regions are tried
	nodes    map[topology.NodeID]*entry
	draining map[topology.NodeID]*topology.Drain // nil for a node that is only Leaving
}

// group is the nodes of one pool in one region.
type group struct {
	region topology.RegionID
	tier   int      // place in the order of the pool's regions, from 0
	all    []*entry // sorted by name
	ready  atomic.Pointer[ready]
}

// ready holds the nodes of a group that health, drains and cuts leave to be picked, so that a pick looks at no other.
type ready struct{ up, unknown []*entry }

// entry is one node as a snapshot has it, with what a pick needs of it worked out.
type entry struct {
	state       *state
	weight      uint64
	maxInFlight uint64 // 0: no bound
	rate        rate
	node        *topology.Node
	group       *group
	place       int // in group.all
}

func compile(s *topology.Snapshot, order []topology.RegionID, states map[topology.NodeID]*state) *view {
	v := &view{
		pools:    map[topology.PoolID][]*group{},
		nodes:    map[topology.NodeID]*entry{},
		draining: map[topology.NodeID]*topology.Drain{},
	}
	if s == nil {
		return v
	}
	v.revision = s.Revision
	place := map[topology.RegionID]int{}
	for i, r := range order {
		place[r] = i - len(order) // below zero, so that a region without a place comes after
	}
	for _, p := range s.Pools {
		v.pools[p.Name] = v.groups(s.NodesOf(p.Name), place, states)
	}
	for _, n := range s.Nodes {
		if n.Leaving {
			v.draining[n.Name] = nil
		}
	}
	for _, d := range s.Drains {
		v.draining[d.Node()] = d
	}
	return v
}

// groups sorts a pool's nodes into regions and enters them into v.nodes.
func (v *view) groups(nodes []*topology.Node, place map[topology.RegionID]int, states map[topology.NodeID]*state) []*group {
	byRegion := map[topology.RegionID]*group{}
	var groups []*group
	for _, n := range nodes {
		g := byRegion[n.Region]
		if g == nil {
			g = &group{region: n.Region}
			byRegion[n.Region] = g
			groups = append(groups, g)
		}
		e := newEntry(n, states[n.Name], g)
		e.place = len(g.all)
		g.all = append(g.all, e)
		v.nodes[n.Name] = e
	}
	slices.SortFunc(groups, func(a, b *group) int {
		return cmp.Or(cmp.Compare(place[a.region], place[b.region]), cmp.Compare(a.region, b.region))
	})
	for i, g := range groups {
		g.tier = i
		g.compile()
	}
	return groups
}

func newEntry(n *topology.Node, st *state, g *group) *entry {
	return &entry{
		state:       st,
		weight:      uint64(n.EffectiveWeight()),
		maxInFlight: uint64(max(0, n.Capacity.Connections)),
		rate:        newRate(n.Capacity.RPS),
		node:        n,
		group:       g,
	}
}

// compile makes the list of ready nodes from all. The caller holds Table.mu.
func (g *group) compile() {
	r := &ready{}
	for _, e := range g.all {
		r.add(e)
	}
	g.ready.Store(r)
}

func (r *ready) add(e *entry) {
	if list := r.listOf(e); list != nil {
		*list = append(*list, e)
	}
}

// listOf returns the list that the node belongs into, or nil.
func (r *ready) listOf(e *entry) *[]*entry {
	if e.state.flags.Load() != 0 {
		return nil
	}
	switch Standing(e.state.standing.Load()) {
	case StandingUp:
		return &r.up
	case StandingUnknown:
		return &r.unknown
	}
	return nil
}

// move puts a node whose standing has changed into the list where it belongs now. It copies lists instead of going
// through all nodes, which at 10,000 would cost a hundred times as much. The caller holds Table.mu.
func (g *group) move(e *entry) {
	old := g.ready.Load()
	next := &ready{up: without(old.up, e), unknown: without(old.unknown, e)}
	if list := next.listOf(e); list != nil {
		*list = with(*list, e)
	}
	g.ready.Store(next)
}

func search(list []*entry, e *entry) (int, bool) {
	return slices.BinarySearchFunc(list, e, func(a, b *entry) int { return cmp.Compare(a.place, b.place) })
}

// without returns the list without the node; the list itself, which readers may hold, is not changed.
func without(list []*entry, e *entry) []*entry {
	i, found := search(list, e)
	if !found {
		return list
	}
	return slices.Concat(list[:i], list[i+1:])
}

// with returns the list with the node, in its place; the list itself is not changed.
func with(list []*entry, e *entry) []*entry {
	i, _ := search(list, e)
	return slices.Concat(list[:i], []*entry{e}, list[i:])
}
