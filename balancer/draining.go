// SPDX-License-Identifier: Apache-2.0

package balancer

import (
	"cmp"
	"maps"
	"slices"

	"meridian/topology"
)

// Drained is a drain, or a node that says itself that it is Leaving, and what this edge still has at the nodes that it covers: what an
// edge's topology.Ack is made of.
type Drained struct {
	// Drain is nil for a node that only says itself that it is Leaving.
	Drain *topology.Drain
	// Nodes are those that are covered, sorted by name: also the node of a drain that is not in the topology, and nodes that have left it
	// with leases out. None for a drain of an edge. It is shared: don't change it.
	Nodes []topology.NodeID
	// Revision is that of the Apply that brought the drain.
	Revision topology.Revision
	// InFlight and Streams are out at all the nodes together.
	InFlight, Streams int
}

// draining is a drain as a view has it. Immutable.
type draining struct {
	drain    *topology.Drain
	revision topology.Revision
	nodes    []topology.NodeID
	states   []*state
}

// Draining returns all drains, sorted by name, whether what they are of is in the topology or not, and then the nodes that are Leaving.
// Zero in flight can be acknowledged: from now on the nodes get nothing any more but requests of sessions that are bound to them, and
// after Cut not even those. For the drain of a region that holds as long as other nodes can take the work.
func (t *Table) Draining() []Drained {
	v := t.view.Load()
	out := make([]Drained, 0, len(v.drains))
	for _, d := range v.drains {
		x := Drained{Drain: d.drain, Nodes: d.nodes, Revision: d.revision}
		for _, st := range d.states {
			inFlight, streams := st.out()
			x.InFlight += inFlight
			x.Streams += streams
		}
		out = append(out, x)
	}
	return out
}

// Out returns what is out at all nodes of the topology together.
func (t *Table) Out() (inFlight, streams int) {
	for _, e := range t.view.Load().nodes {
		n, s := e.state.out()
		inFlight, streams = inFlight+n, streams+s
	}
	return inFlight, streams
}

// drainsLocked lists the drains of a snapshot with the nodes that each covers. The caller holds t.mu and has applied s to all states.
func (t *Table) drainsLocked(s *topology.Snapshot) []draining {
	var leaving []topology.NodeID
	for _, n := range s.Nodes {
		if n.Leaving && s.DrainOf(n.Name) == nil {
			leaving = append(leaving, n.Name)
		}
	}
	if len(s.Drains)+len(leaving) == 0 {
		return nil
	}
	before := t.view.Load().drains
	out := make([]draining, 0, len(s.Drains)+len(leaving))
	ids := slices.Sorted(maps.Keys(t.states))
	for _, d := range s.Drains {
		x, target := draining{drain: d, revision: s.Revision}, d.Target()
		for _, id := range ids {
			if st := t.states[id]; id == target.Node || st.last != nil && target.Covers(st.last) {
				x.nodes, x.states = append(x.nodes, id), append(x.states, st)
			}
		}
		if target.Scope == topology.ScopeNode && len(x.nodes) == 0 {
			x.nodes = []topology.NodeID{target.Node}
		}
		x.keepRevision(before)
		out = append(out, x)
	}
	for _, id := range leaving {
		x := draining{revision: s.Revision, nodes: []topology.NodeID{id}, states: []*state{t.states[id]}}
		x.keepRevision(before)
		out = append(out, x)
	}
	return out
}

// keepRevision takes over since when there is the drain.
func (d *draining) keepRevision(before []draining) {
	for _, b := range before {
		if d.drain != nil && d.drain.Same(b.drain) || d.drain == nil && b.drain == nil && cmp.Compare(d.nodes[0], b.nodes[0]) == 0 {
			d.revision = b.revision
		}
	}
}
