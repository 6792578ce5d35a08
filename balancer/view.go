// SPDX-License-Identifier: Apache-2.0

package balancer

import (
	"cmp"
	"slices"
	"sync/atomic"

	"meridian/topology"
)

// view is a snapshot compiled for picking. Immutable, but for each group's lists of nodes that are ready, and its table.
type view struct {
	revision topology.Revision
	pools    map[topology.PoolID]*pool
	nodes    map[topology.NodeID]*entry
	routes   map[topology.RouteID]*Route
	draining map[topology.NodeID]*topology.Drain // nil for a node that is only Leaving
}

// pool is a pool as a snapshot has it.
type pool struct {
	spec   *topology.Pool
	route  *Route   // of requests whose route is not known
	groups []*group // in the order in which they are tried
	policy policy
}

// group is the nodes of one pool in one region.
type group struct {
	key    tierKey
	pool   *pool
	place  int      // in pool.groups
	all    []*entry // sorted by name
	tier   *tier    // what is learned of it
	weight int      // sum of the weights of all
	equal  bool     // they are all the same
	ready  atomic.Pointer[ready]
	table  atomic.Pointer[placement] // of a policy that has one; nil: not yet made
}

// tierKey names a group from one snapshot to the next.
type tierKey struct {
	pool   topology.PoolID
	region topology.RegionID
}

// tier is what is learned of a group. It is kept from one snapshot to the next.
type tier struct {
	turn atomic.Uint64 // of weighted round robin
	out  atomic.Int64  // leases that are not done, if the pool's policy bounds by it

	// Made by ticks.

	theta     number // the 84 % quantile of rif
	typical   number // median of speed over the requests; 0: nothing known yet
	middle    number // median of speed over the nodes
	deviation number // median of how far they are from that
	median    number // typical as a score
	idle      atomic.Bool
	sampler   atomic.Pointer[sampler]

	built *built // guarded by Table.mu; nil: nothing yet
}

// ready holds the nodes of a group that health, drains and cuts leave to be picked, so that a pick looks at no other.
type ready struct{ up, unknown list }

// list is nodes that can be picked alike, sorted by name. Immutable.
type list struct {
	nodes    []*entry
	weight   int // sum of theirs
	standing Standing
}

// has reports whether a node of the group is in the list.
func (l *list) has(e *entry) bool {
	return e.state.flags.Load() == 0 && Standing(e.state.standing.Load()) == l.standing
}

// entry is one node as a snapshot has it, with what a pick needs of it worked out.
type entry struct {
	state       *state
	weight      uint64
	maxInFlight uint64 // 0: no bound
	rate        rate
	node        *topology.Node
	group       *group
	place       int           // in group.all
	out         *atomic.Int64 // of the tier, where the policy bounds by it, else nil
}

// compileLocked makes the view of a snapshot. The caller holds t.mu.
func (t *Table) compileLocked(s *topology.Snapshot, order []topology.RegionID) *view {
	v := &view{
		pools:    map[topology.PoolID]*pool{},
		nodes:    map[topology.NodeID]*entry{},
		draining: map[topology.NodeID]*topology.Drain{},
	}
	if s == nil {
		return v
	}
	v.revision = s.Revision
	v.routes = t.routesLocked(s)
	place := map[topology.RegionID]int{}
	for i, r := range order {
		place[r] = i - len(order) // below zero, so that a region without a place comes after
	}
	tiers := map[tierKey]*tier{}
	for _, spec := range s.Pools {
		p := &pool{spec: spec, policy: policyOf(spec), route: &Route{}}
		if old := t.view.Load(); old != nil && old.pools[spec.Name] != nil {
			p.route = old.pools[spec.Name].route
		}
		p.addGroups(s.NodesOf(spec.Name), place, t.states, v.nodes)
		for _, g := range p.groups {
			if g.tier = t.tiers[g.key]; g.tier == nil {
				g.tier = &tier{}
			}
			tiers[g.key] = g.tier
			for _, e := range g.all {
				e.state.share.store(float64(e.weight) * float64(len(g.all)) / float64(g.weight))
			}
			if spec.Policy.IsHashed() {
				for _, e := range g.all {
					e.out = &g.tier.out
				}
			}
			g.compile()
			g.useLocked(g.tier.built)
		}
		v.pools[spec.Name] = p
	}
	t.tiers = tiers
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

// addGroups sorts a pool's nodes into regions and enters them into entries.
func (p *pool) addGroups(nodes []*topology.Node, place map[topology.RegionID]int, states map[topology.NodeID]*state, entries map[topology.NodeID]*entry) {
	byKey := map[tierKey]*group{}
	for _, n := range nodes {
		key := tierKey{p.spec.Name, n.Region}
		g := byKey[key]
		if g == nil {
			g = &group{key: key, pool: p, equal: true}
			byKey[key] = g
			p.groups = append(p.groups, g)
		}
		e := newEntry(n, states[n.Name], g)
		e.place = len(g.all)
		g.all = append(g.all, e)
		g.weight += int(e.weight)
		g.equal = g.equal && e.weight == g.all[0].weight
		entries[n.Name] = e
	}
	slices.SortFunc(p.groups, func(a, b *group) int {
		return cmp.Or(cmp.Compare(place[a.key.region], place[b.key.region]), cmp.Compare(a.key.region, b.key.region))
	})
	for i, g := range p.groups {
		g.place = i
	}
}

// groupsOf returns the groups of a pool, or nil.
func (v *view) groupsOf(id topology.PoolID) []*group {
	if p := v.pools[id]; p != nil {
		return p.groups
	}
	return nil
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

// compile makes the lists of ready nodes from all. The caller holds Table.mu.
func (g *group) compile() {
	r := &ready{up: list{standing: StandingUp}, unknown: list{standing: StandingUnknown}}
	for _, e := range g.all {
		if l := r.listOf(e); l != nil {
			l.nodes = append(l.nodes, e)
			l.weight += int(e.weight)
		}
	}
	g.ready.Store(r)
}

// listOf returns the list that the node belongs into, or nil.
func (r *ready) listOf(e *entry) *list {
	for _, l := range []*list{&r.up, &r.unknown} {
		if l.has(e) {
			return l
		}
	}
	return nil
}

// move puts a node whose standing has changed into the list where it belongs now. It copies lists instead of going
// through all nodes, which at 10,000 would cost a hundred times as much. The caller holds Table.mu.
func (g *group) move(e *entry) {
	old := g.ready.Load()
	next := &ready{up: old.up.without(e), unknown: old.unknown.without(e)}
	if l := next.listOf(e); l != nil {
		*l = l.with(e)
	}
	g.ready.Store(next)
}

func (l *list) search(e *entry) (int, bool) {
	return slices.BinarySearchFunc(l.nodes, e, func(a, b *entry) int { return cmp.Compare(a.place, b.place) })
}

// without returns the list without the node; the list itself, which readers may hold, is not changed.
func (l list) without(e *entry) list {
	i, found := l.search(e)
	if !found {
		return l
	}
	l.nodes = slices.Concat(l.nodes[:i], l.nodes[i+1:])
	l.weight -= int(e.weight)
	return l
}

// with returns the list with the node, in its place; the list itself is not changed.
func (l list) with(e *entry) list {
	i, _ := l.search(e)
	l.nodes = slices.Concat(l.nodes[:i], []*entry{e}, l.nodes[i:])
	l.weight += int(e.weight)
	return l
}
