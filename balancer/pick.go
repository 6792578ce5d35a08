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
	// Draining counts those that are drained, leaving or cut, before Down, Tried and Full.
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

// Pick takes a place on the node that suits the request best by the pool's policy, in the first region of Apply's order that has a
// node which can be picked. A node can be picked if it stands up, is neither draining nor cut, is below its Capacity and is not
// in Tried. Where there is none in any region, nodes not yet checked are taken, in the same way. The error is a *NoNodeError.
// Pick takes no lock and does not allocate but for the error.
func (t *Table) Pick(r Request) (Lease, error) {
	groups := t.view.Load().groupsOf(r.Pool)
	w := wish{tried: r.Tried, route: r.Route, now: r.Now.UnixNano(), rand: r.Rand, key: r.Key, hasKey: r.HasKey}
	for _, g := range groups {
		if l := g.pick(&g.ready.Load().up, w); l.entry != nil {
			return l, nil
		}
	}
	for _, g := range groups {
		if l := g.pick(&g.ready.Load().unknown, w); l.entry != nil {
			return l, nil
		}
	}
	return Lease{}, noNode(r.Pool, groups, w)
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
		if l, err := e.acquire(w.now, w.route, 0); err == nil {
			return l
		}
	}
	for i := range from.nodes { // others were faster three times: take any
		e := from.nodes[(draw(w.rand, 0, len(from.nodes))+i)%len(from.nodes)]
		if w.allows(e) {
			if l, err := e.acquire(w.now, w.route, 0); err == nil {
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

func (e *entry) obstacle(w wish) obstacle {
	switch {
	case e.state.flags.Load() != 0 || e.state.cut.Load().done.Load():
		return obstacleDraining
	case Standing(e.state.standing.Load()) == StandingDown:
		return obstacleDown
	case slices.Contains(w.tried, e.node.Name):
		return obstacleTried
	case !e.open(w.now):
		return obstacleFull
	}
	return obstacleNone
}
