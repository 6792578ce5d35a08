// SPDX-License-Identifier: Apache-2.0

package balancer

import (
	"fmt"
	"slices"
	"strings"

	"meridian/topology"
)

// maxChoices is how often a pick chooses again after another one took the last place of its choice.
const maxChoices = 3

// NoNodeError says that no node of a pool can be picked, and of its nodes how many for which reason; each is counted once.
type NoNodeError struct {
	Pool topology.PoolID
	// Total is how many nodes the pool has, 0 also for a pool that is not in the topology.
	Total int
	// Draining counts those that are drained, leaving or cut, before Down, Tried and Full. Down counts the ejected ones and those that
	// refuse connections, too.
	Down, Draining, Full, Tried int
}

// Error implements error: "no node of pool mcp can be picked: of 4, 2 are down, 1 is draining, 1 is full".
func (e *NoNodeError) Error() string {
	if e.Total == 0 {
		return fmt.Sprintf("pool %s has no node", e.Pool)
	}
	var parts []string
	for _, c := range []struct {
		n    int
		what string
	}{{e.Down, "down"}, {e.Draining, "draining"}, {e.Full, "full"}, {e.Tried, "tried already"}} {
		switch {
		case c.n == 1:
			parts = append(parts, "1 is "+c.what)
		case c.n > 1:
			parts = append(parts, fmt.Sprintf("%d are %s", c.n, c.what))
		}
	}
	return fmt.Sprintf("no node of pool %s can be picked: of %d, %s", e.Pool, e.Total, strings.Join(parts, ", "))
}

// Pick takes a place on the node that suits the request best by the pool's policy. Tiers are tried in order: the edge's zone, the
// rest of its region, then the regions of Apply's order; while the first has not room for all, a part of the picks begins with the
// next, see load.room; and a crowded zone may be relieved by its region, see group.relieve. A node can be picked if it is neither draining nor cut, is below its limits and is not in Tried. Looked for are,
// each over all tiers:
//
//	nodes that are up and below the pool's utilization, then of those the overflow ones
//	nodes that are up and below their limits, then the overflow ones
//	nodes not yet checked
//	nodes that are half-open and have a request out already
//	nodes that refused a connection just now
//	nodes that are drained with their region
//	nodes of the fallback pool, in the same order
//
// Where fewer than half of a tier's nodes are up, more count as up: see pool.settle. The error is a *NoNodeError. Pick takes no lock
// and does not allocate but for the error.
func (t *Table) Pick(r Request) (Lease, error) {
	v := t.view.Load()
	w := wish{tried: r.Tried, route: r.Route, now: r.Now.UnixNano(), rand: r.Rand, key: r.Key, hasKey: r.HasKey}
	p := v.pools[r.Pool]
	if p == nil {
		return Lease{}, &NoNodeError{Pool: r.Pool}
	}
	if l := p.pick(w); l.entry != nil {
		return l, nil
	}
	if other := v.pools[p.spec.FallbackPool]; other != nil {
		if l := other.pick(w); l.entry != nil {
			l.by |= byFallback
			return l, nil
		}
	}
	return Lease{}, noNode(r.Pool, p.groups, w)
}

// pick takes a place on a node of the pool; the zero lease where none can be picked.
func (p *pool) pick(w wish) Lease {
	w.hasKey = w.hasKey && p.spec.Policy.IsHashed()
	first := p.first(&w)
	for _, s := range stages {
		w.demand, w.allowed = s.demand, s.allowed
		for i := range p.groups {
			g := p.tierAt(i, first)
			if l := g.pick(g.ready.Load().list(s.class), w); l.entry != nil {
				l.by |= s.by
				if w.hasKey {
					l.by |= byKey
				}
				if i == 0 && first > 0 {
					l.by |= byShare
				}
				return l
			}
		}
	}
	return Lease{}
}

// pick takes a place on one of the nodes; the zero lease where none can be picked.
func (g *group) pick(from *list, w wish) Lease {
	if len(from.nodes) == 0 {
		return Lease{}
	}
	for i := range maxChoices {
		e := g.pool.policy.choose(g, from, w, uint64(i))
		if e == nil {
			return Lease{}
		}
		if l, err := e.acquire(w.now, w.route, w.allowed, w.demand); err == nil {
			if e.group != g {
				l.by |= byRelief
			}
			return l
		}
	}
	for i := range from.nodes { // others were faster three times: take any
		e := from.nodes[(draw(w.rand, 0, len(from.nodes))+i)%len(from.nodes)]
		if w.allows(e) {
			if l, err := e.acquire(w.now, w.route, w.allowed, w.demand); err == nil {
				return l
			}
		}
	}
	return Lease{}
}

func noNode(p topology.PoolID, groups []*group, w wish) error {
	err := &NoNodeError{Pool: p}
	for _, g := range groups {
		for _, e := range g.all {
			err.Total++
			switch reason := e.obstacle(w); reason {
			case obstacleDraining:
				err.Draining++
			case obstacleDown:
				err.Down++
			case obstacleTried:
				err.Tried++
			default:
				err.Full++ // also one that had no place when it was looked at and has one now
			}
		}
	}
	return err
}

// obstacle is why a node can't be picked.
type obstacle uint8

const (
	obstacleNone obstacle = iota
	obstacleDraining
	obstacleDown
	obstacleTried
	obstacleFull
)

// isOut reports whether a node of that standing is left out.
func isOut(s Standing) bool {
	return s == StandingDown || s == StandingEjected || s == StandingRefused
}

func (e *entry) obstacle(w wish) obstacle {
	switch {
	case e.state.flags.Load() != 0 || e.state.cut.Load().done.Load():
		return obstacleDraining
	case isOut(Standing(e.state.standing.Load())):
		return obstacleDown
	case slices.Contains(w.tried, e.node.Name):
		return obstacleTried
	case !e.open(w.now, demandLeast):
		return obstacleFull
	}
	return obstacleNone
}
