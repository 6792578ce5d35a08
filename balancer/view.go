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
	drains   []draining
}

// pool is a pool as a snapshot has it. Immutable, but for its shares.
type pool struct {
	spec   *topology.Pool
	route  *Route   // of requests whose route is not known
	groups []*group // in the order in which they are tried
	policy policy
	shares atomic.Pointer[[]float64] // of the groups, each with all before it; nil: the first takes all
}

// group is a tier of one pool: its nodes in the edge's own zone, in the rest of the edge's region, or in another region.
type group struct {
	key    tierKey
	pool   *pool
	near   Near     // to the edge
	rest   *group   // the rest of its region, where it is the edge's zone and there is one
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
	zone   string // the edge's own, or nothing for all others
}

// tier is what is learned of a group. It is kept from one snapshot to the next.
type tier struct {
	turn atomic.Uint64 // of weighted round robin
	out  atomic.Int64  // leases that are not done, if the pool's policy bounds by it

	// Made by ticks.

	theta     number      // the 84 % quantile of rif
	typical   number      // median of speed over the requests; 0: nothing known yet
	middle    number      // median of speed over the nodes
	deviation number      // median of how far they are from that
	median    number      // typical as a score
	crowd     number      // median of rif, smoothed over a second
	warming   atomic.Bool // most of it is new: see group.endSlowStartLocked
	sampler   atomic.Pointer[sampler]

	// Guarded by Table.mu.

	built *built // nil: nothing yet
	room  damped // for new work: A in balancing's terms
	warm  int64  // until when it is warming, Unix nanoseconds
}

// entry is one node as a snapshot has it, with what a pick needs of it worked out.
type entry struct {
	state    *state
	weight   uint64
	share    float64 // weight over the mean weight of the group
	overflow bool
	node     *topology.Node
	group    *group
	place    int           // in group.all
	out      *atomic.Int64 // of the tier, where the policy bounds by it, else nil
}

// compileLocked makes the view of a snapshot. The caller holds t.mu.
func (t *Table) compileLocked(s *topology.Snapshot, order []topology.RegionID) *view {
	v := &view{
		pools: map[topology.PoolID]*pool{},
		nodes: map[topology.NodeID]*entry{},
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
		t.addGroupsLocked(p, s.NodesOf(spec.Name), order, place, v.nodes)
		for _, g := range p.groups {
			if g.tier = t.tiers[g.key]; g.tier == nil {
				g.tier = &tier{}
			}
			tiers[g.key] = g.tier
			g.enterLocked(t)
			g.compile()
			g.useLocked(g.tier.built)
		}
		p.settle()
		p.shareLocked()
		v.pools[spec.Name] = p
	}
	t.tiers = tiers
	return v
}

// addGroupsLocked sorts a pool's nodes into tiers and enters them into entries. The caller holds t.mu.
func (t *Table) addGroupsLocked(p *pool, nodes []*topology.Node, order []topology.RegionID, place map[topology.RegionID]int, entries map[topology.NodeID]*entry) {
	byKey := map[tierKey]*group{}
	for _, n := range nodes {
		key := tierKey{pool: p.spec.Name, region: n.Region}
		if t.zone != "" && n.Zone == t.zone && len(order) > 0 && n.Region == order[0] {
			key.zone = t.zone
		}
		g := byKey[key]
		if g == nil {
			g = &group{key: key, pool: p, equal: true, near: nearOf(key, order)}
			byKey[key] = g
			p.groups = append(p.groups, g)
		}
		e := &entry{state: t.states[n.Name], weight: uint64(n.EffectiveWeight()), overflow: n.IsOverflow(), node: n, group: g, place: len(g.all)}
		g.all = append(g.all, e)
		g.weight += int(e.weight)
		g.equal = g.equal && e.weight == g.all[0].weight
		entries[n.Name] = e
	}
	slices.SortFunc(p.groups, func(a, b *group) int {
		return cmp.Or(cmp.Compare(place[a.key.region], place[b.key.region]), cmp.Compare(a.key.region, b.key.region), -cmp.Compare(a.key.zone, b.key.zone))
	})
	for i, g := range p.groups {
		g.place = i
		if next := i + 1; g.near == NearZone && next < len(p.groups) && p.groups[next].near == NearRegion {
			g.rest = p.groups[next]
		}
	}
}

// enterLocked takes over what the snapshot says of each node of the group. The caller holds t.mu.
func (g *group) enterLocked(t *Table) {
	for _, e := range g.all {
		e.share = float64(e.weight) * float64(len(g.all)) / float64(g.weight)
		if g.pool.spec.Policy.IsHashed() {
			e.out = &g.tier.out
		}
		e.shareOutLocked(t.now)
		e.limitLocked(t.edges)
	}
}

// groupsOf returns the groups of a pool, or nil.
func (v *view) groupsOf(id topology.PoolID) []*group {
	if p := v.pools[id]; p != nil {
		return p.groups
	}
	return nil
}
