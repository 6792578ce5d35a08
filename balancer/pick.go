// SPDX-License-Identifier: Apache-2.0

package balancer

import (
	"fmt"
	"slices"
	"strings"

	"meridian/topology"
)

const (
	// scanAll is up to how many nodes are all looked at. Ours: at so few a scan costs what two draws do, and finds the best.
	scanAll = 4
	// maxDraws is how often a pick draws before it scans. Ours: with half of the nodes full or tried, 8 draws miss two
	// that can be picked in 4 % of picks.
	maxDraws = 8
	// maxChoices is how often a pick chooses again after another one took the last place of its choice.
	maxChoices = 3
)

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

// Pick takes a place on the node that suits the request best: in the first region of Apply's order that has a node which
// can be picked, of two distinct random ones (of all, up to four) the one with the lower (in flight + 1) / weight. A node
// can be picked if it stands up, is neither draining nor cut, is below its Capacity and is not in Tried. Where there is
// none in any region, nodes not yet checked are taken, in the same way. The error is a *NoNodeError. Pick does not
// allocate but for the error.
func (t *Table) Pick(r Request) (Lease, error) {
	groups := t.view.Load().pools[r.Pool]
	for _, g := range groups {
		if l := pick(g.ready.Load().up, &r); l.entry != nil {
			return l, nil
		}
	}
	for _, g := range groups {
		if l := pick(g.ready.Load().unknown, &r); l.entry != nil {
			return l, nil
		}
	}
	return Lease{}, noNode(groups, &r)
}

// pick takes a place on one of the nodes; the zero lease where none can be picked.
func pick(nodes []*entry, r *Request) Lease {
	for i := range maxChoices {
		e := choose(nodes, r, uint64(i))
		if e == nil {
			return Lease{}
		}
		if l, err := e.acquire(r.Now, 0); err == nil {
			return l
		}
	}
	for i := range nodes { // others were faster three times: take any
		e := nodes[(draw(r.Rand, 0, len(nodes))+i)%len(nodes)]
		if !r.tried(e) && e.open(r.Now) {
			if l, err := e.acquire(r.Now, 0); err == nil {
				return l
			}
		}
	}
	return Lease{}
}

// choose returns the better of two distinct random nodes that can be picked, each pair of them as likely as any other, or
// nil. round keeps the draws of a repeated choice apart.
func choose(nodes []*entry, r *Request, round uint64) *entry {
	if len(nodes) <= scanAll {
		return best(nodes, r, round)
	}
	var one *entry
	for k := range uint64(maxDraws) {
		e := nodes[draw(r.Rand, round*maxDraws+k, len(nodes))]
		switch {
		case e == one || r.tried(e) || !e.open(r.Now):
		case one == nil:
			one = e
		case e.lighter(one):
			return e
		default:
			return one // also in a tie: which of the two was drawn first is random
		}
	}
	return best(nodes, r, round)
}

// best returns the lightest of all nodes that can be picked, a random one of several, or nil.
func best(nodes []*entry, r *Request, round uint64) *entry {
	var found *entry
	ties := 0
	for _, e := range nodes {
		switch {
		case r.tried(e) || !e.open(r.Now):
		case found == nil || e.lighter(found):
			found, ties = e, 1
		case !found.lighter(e):
			ties++ // each of k equal ones ends up as found with the chance 1/k
			if draw(r.Rand, (round+1)*1<<32+uint64(ties), ties) == 0 {
				found = e
			}
		}
	}
	return found
}

// lighter reports whether (in flight + 1) / weight is lower on e than on o.
func (e *entry) lighter(o *entry) bool {
	a, b := uint64(uint32(e.state.counts.Load())), uint64(uint32(o.state.counts.Load()))
	return (a+1)*o.weight < (b+1)*e.weight
}

func (r *Request) tried(e *entry) bool {
	return len(r.Tried) > 0 && slices.Contains(r.Tried, e.node.Name)
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

func noNode(groups []*group, r *Request) error {
	err := &NoNodeError{Pool: r.Pool}
	for _, g := range groups {
		for _, e := range g.all {
			err.Total++
			switch reason := e.obstacle(r); reason {
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

func (e *entry) obstacle(r *Request) obstacle {
	switch {
	case e.state.flags.Load() != 0 || e.state.cut.Load().done.Load():
		return obstacleDraining
	case Standing(e.state.standing.Load()) == StandingDown:
		return obstacleDown
	case r.tried(e):
		return obstacleTried
	case !e.open(r.Now):
		return obstacleFull
	}
	return obstacleNone
}
