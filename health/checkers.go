// SPDX-License-Identifier: Apache-2.0

package health

import (
	"cmp"
	"slices"

	"meridian/topology"
)

// FewestCheckers is by how many edges a node is checked at least, where its region has as many. With three, one that is cut off
// or late is outvoted.
const FewestCheckers = 3

// Roster says which edges check which nodes, so that 100 edges don't each check 10,000 nodes. It follows from the edges alone: all
// edges that see the same ones alive agree. Immutable.
//
// A node is checked by all edges of its zone; an edge without a zone belongs to all of its region's. Where those are fewer than
// FewestCheckers, others of the region make them up, chosen by rendezvous hashing: each node has an order of its own among the edges, so
// that the work is even, and an edge that comes or goes changes nothing but who checks what it checks. A region without a living
// edge is looked after by as many of all the others; else none is asked from far away, whose checks would mostly measure the way.
type Roster struct {
	all      []checker
	byRegion map[topology.RegionID][]checker
}

type checker struct {
	edge topology.EdgeID
	zone string
	seed uint64
}

// NewRoster makes the roster of the edges that are alive.
func NewRoster(alive []*topology.Edge) *Roster {
	r := &Roster{byRegion: map[topology.RegionID][]checker{}}
	for _, e := range alive {
		c := checker{e.Name, e.Zone, hashOf(string(e.Name))}
		r.all = append(r.all, c)
		r.byRegion[e.Region] = append(r.byRegion[e.Region], c)
	}
	return r
}

// Of returns the edges that check the node, sorted by name. Nil if no edge is alive.
func (r *Roster) Of(n *topology.Node) []topology.EdgeID {
	edges := r.byRegion[n.Region]
	if len(edges) == 0 {
		edges = r.all
	}
	type ranked struct {
		edge  topology.EdgeID
		score uint64
	}
	var out []topology.EdgeID
	var others []ranked
	seed := hashOf(string(n.Name))
	near := len(r.byRegion[n.Region]) > 0
	for _, e := range edges {
		if near && (e.zone == "" || e.zone == n.Zone) {
			out = append(out, e.edge)
		} else {
			others = append(others, ranked{e.edge, mix(seed ^ e.seed)})
		}
	}
	if need := FewestCheckers - len(out); need > 0 {
		slices.SortFunc(others, func(a, b ranked) int {
			return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(a.edge, b.edge))
		})
		for _, o := range others[:min(need, len(others))] {
			out = append(out, o.edge)
		}
	}
	slices.Sort(out)
	return out
}

// Checks reports whether an edge is among those of Of.
func (r *Roster) Checks(e topology.EdgeID, n *topology.Node) bool {
	_, found := slices.BinarySearch(r.Of(n), e)
	return found
}
