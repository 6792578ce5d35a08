// SPDX-License-Identifier: Apache-2.0

package balancer

import (
	"cmp"
	"slices"

	"meridian/topology"
)

// TierStats is how a tier of a pool stands: for metrics and for people.
type TierStats struct {
	Pool   topology.PoolID   `json:"pool"`
	Policy topology.Policy   `json:"policy"`
	Region topology.RegionID `json:"region"`
	// Zone is the edge's own, empty for a tier of all other nodes of the region.
	Zone string `json:"zone,omitempty"`
	// Tier is its place in the order in which they are tried, from 0. Share is the part of the picks that begin with it, A what it has
	// room for: see Availability, which is of all nodes of a zone.
	Tier  int     `json:"tier"`
	Share float64 `json:"share"`
	A     float64 `json:"a"`
	// Nodes is how many there are; of these Up can be picked as up, Overflow only get what others don't take, and so on.
	Nodes     int `json:"nodes"`
	Up        int `json:"up"`
	Overflow  int `json:"overflow"`
	Unknown   int `json:"unknown"`
	Ejected   int `json:"ejected"`
	Down      int `json:"down"`
	Refused   int `json:"refused"`
	SlowStart int `json:"slow_start"`
	// Panic is 1 where bans are ignored because fewer than half are up, 2 where checks are, too.
	Panic int `json:"panic"`
	// InFlight is what this edge has out, Theta from how many in flight for each unit of weight a node is hot.
	InFlight int     `json:"in_flight"`
	Theta    float64 `json:"theta"`
	// Speed is the median over the nodes of how slowly they answer, against the routes' medians; 0 before anything is known.
	Speed float64 `json:"speed"`
}

// Stats returns how every tier of every pool stands, sorted by pool and tier.
func (t *Table) Stats() []TierStats {
	t.mu.Lock()
	defer t.mu.Unlock()
	var out []TierStats
	for _, p := range t.view.Load().pools {
		for _, g := range p.groups {
			out = append(out, g.statsLocked())
		}
	}
	slices.SortFunc(out, func(a, b TierStats) int { return cmp.Or(cmp.Compare(a.Pool, b.Pool), cmp.Compare(a.Tier, b.Tier)) })
	return out
}

// AnyUp reports whether a node of the pool is up that no panic has made so. It takes no lock and looks at no node, so that it may be asked
// at each of many verdicts.
func (t *Table) AnyUp(id topology.PoolID) bool {
	for _, g := range t.view.Load().groupsOf(id) {
		r := g.ready.Load()
		if r.panic == calm && len(r.up.nodes)+len(r.by[classOverflow].nodes) > 0 {
			return true
		}
	}
	return false
}

// Tiers returns how the tiers of a pool stand, in the order in which they are tried.
func (t *Table) Tiers(id topology.PoolID) []TierStats {
	t.mu.Lock()
	defer t.mu.Unlock()
	var out []TierStats
	for _, g := range t.view.Load().groupsOf(id) {
		out = append(out, g.statsLocked())
	}
	return out
}

// statsLocked returns how the tier stands. The caller holds Table.mu.
func (g *group) statsLocked() TierStats {
	r := g.ready.Load()
	count := func(c class) int { return len(r.by[c].nodes) }
	s := TierStats{
		Pool: g.key.pool, Policy: g.pool.spec.EffectivePolicy(), Region: g.key.region, Zone: g.key.zone, Tier: g.place, A: 1,
		Nodes: len(g.all), Up: len(r.up.nodes), Overflow: count(classOverflow), Unknown: count(classUnknown), Ejected: count(classEjected),
		Down: count(classDown), Refused: count(classRefused), Panic: int(r.panic),
		Theta: max(leastTheta, g.tier.theta.load()), Speed: g.tier.middle.load(),
	}
	if g.tier.room.known {
		s.A = hundredths(g.tier.room.shown)
	}
	s.Share = hundredths(g.pool.shareOf(g.place))
	for _, e := range g.all {
		n, _ := e.state.out()
		s.InFlight += n
		if e.state.slow.Load() {
			s.SlowStart++
		}
	}
	return s
}

// shareOf returns the part of the picks that begin with a tier.
func (p *pool) shareOf(tier int) float64 {
	shares := p.shares.Load()
	switch {
	case shares == nil && tier == 0:
		return 1
	case shares == nil:
		return 0
	case tier == 0:
		return (*shares)[0]
	}
	return (*shares)[tier] - (*shares)[tier-1]
}

// Sample is how slowly a node answers beside the others of its tier: what it may be ejected for.
type Sample struct {
	Node topology.NodeID
	// Tier names the tier: samples of one tier have one median.
	Tier string
	// S is the node's, failures counted in; Median is the tier's and MAD the median of how far its nodes are from that. All are in
	// medians of the routes.
	S, Median, MAD float64
	// Answers is how many samples the node has had since it was last taken for new.
	Answers uint64
}

// Slowness returns a sample for each node of a pool that is picked as up and of which something is known, as of the last Tick.
func (t *Table) Slowness(id topology.PoolID) []Sample {
	t.mu.Lock()
	defer t.mu.Unlock()
	var out []Sample
	for _, g := range t.view.Load().groupsOf(id) {
		name := string(g.key.region) + "/" + g.key.zone
		for _, e := range g.ready.Load().up.nodes {
			if n := e.state.speed.count.Load(); n > 0 {
				out = append(out, Sample{
					Node: e.node.Name, Tier: name, S: e.state.value, Median: g.tier.middle.load(), MAD: g.tier.deviation.load(), Answers: n,
				})
			}
		}
	}
	return out
}
