// SPDX-License-Identifier: Apache-2.0

package topology

import (
	"strings"
	"time"
)

// Drain asks every edge to send no new work to a node, a zone or a region, or asks clients to leave an edge. It is undone by
// deleting it. What it means for each scope:
//
//   - node/NAME, zone/REGION/ZONE: no new session and no sessionless request for the nodes; what is bound to them goes on.
//   - region/NAME: the same, but only while another region's node can take the work; DNS answers other regions, and the region's edges
//     serve whoever still comes.
//   - edge/NAME: DNS answers without the edge's addresses, and the edge is not ready any more; it serves whoever still comes.
type Drain struct {
	Version Version `json:"version"`
	// Name is what is drained: "node/NAME", "zone/REGION/ZONE", "region/NAME" or "edge/NAME". Zones are named within their region, so
	// that two regions may each have a zone "a".
	Name string `json:"name"`
	// Author is who asked, Reason why; both for people.
	Author string `json:"author,omitempty"`
	Reason string `json:"reason,omitempty"`
	// Created is when it was asked, by the asker's clock.
	Created time.Time `json:"created"`
	// Deadline is when edges cut what is still in flight and every stream. Zero: never.
	Deadline time.Time `json:"deadline,omitzero"`
}

// Scope is what kind of thing is drained.
type Scope string

// The scopes.
const (
	ScopeNode   Scope = "node"
	ScopeZone   Scope = "zone"
	ScopeRegion Scope = "region"
	ScopeEdge   Scope = "edge"
)

// DrainTarget is a drain's name taken apart. Only the fields of its scope are set; a zone has its region, too.
type DrainTarget struct {
	Scope  Scope
	Node   NodeID
	Zone   string
	Region RegionID
	Edge   EdgeID
}

// ParseDrainTarget reads the name of a drain. ok is false where it is none.
func ParseDrainTarget(name string) (t DrainTarget, ok bool) {
	scope, rest, _ := strings.Cut(name, "/")
	switch t.Scope = Scope(scope); t.Scope {
	case ScopeNode:
		t.Node, ok = NodeID(rest), validName(rest)
	case ScopeZone:
		region, zone, _ := strings.Cut(rest, "/")
		t.Region, t.Zone, ok = RegionID(region), zone, validName(region) && validName(zone)
	case ScopeRegion:
		t.Region, ok = RegionID(rest), validName(rest)
	case ScopeEdge:
		t.Edge, ok = EdgeID(rest), validName(rest)
	}
	return t, ok
}

// Covers reports whether the node is drained with the target.
func (t DrainTarget) Covers(n *Node) bool {
	switch t.Scope {
	case ScopeNode:
		return n.Name == t.Node
	case ScopeZone:
		return n.Region == t.Region && n.Zone == t.Zone
	case ScopeRegion:
		return n.Region == t.Region
	}
	return false
}

// CoversEdge reports whether the edge is to be left by its clients: it is drained itself, or its region is.
func (t DrainTarget) CoversEdge(e EdgeID, r RegionID) bool {
	return t.Scope == ScopeEdge && t.Edge == e || t.Scope == ScopeRegion && t.Region == r
}

// Target returns what is drained; its scope is empty where the name is none of a target.
func (d *Drain) Target() DrainTarget {
	t, ok := ParseDrainTarget(d.Name)
	if !ok {
		return DrainTarget{}
	}
	return t
}

// Same reports whether two drains are one: to be drained again, or until another deadline, is another drain. Nil is the same as nil.
func (d *Drain) Same(o *Drain) bool {
	if d == nil || o == nil {
		return d == o
	}
	return d.Name == o.Name && d.Created.Equal(o.Created) && d.Deadline.Equal(o.Deadline)
}

// first returns the drain whose deadline comes first, which is the one that cuts; without deadlines the first by name. Either may be nil.
func (d *Drain) first(o *Drain) *Drain {
	switch {
	case d == nil:
		return o
	case o == nil:
		return d
	case d.Deadline.IsZero() != o.Deadline.IsZero():
		if d.Deadline.IsZero() {
			return o
		}
		return d
	case !d.Deadline.Equal(o.Deadline):
		if o.Deadline.Before(d.Deadline) {
			return o
		}
		return d
	case o.Name < d.Name:
		return o
	}
	return d
}

// Key implements Resource.
func (d *Drain) Key() Key { return Key{KindDrain, d.Name} }

func (d *Drain) check(c *checker) {
	c.version(d.Version)
	if _, ok := ParseDrainTarget(d.Name); !ok {
		c.mistake("name", "%q is not a target; want node/NAME, zone/REGION/ZONE, region/NAME or edge/NAME", clip(d.Name))
	}
	c.text("author", d.Author, maxReasonBytes)
	c.text("reason", d.Reason, maxReasonBytes)
	if !d.Deadline.IsZero() && d.Deadline.Before(d.Created) {
		c.mistake("deadline", "it is before created")
	}
}

// refs allows a drain of what is not there: it may come back while it is drained.
func (d *Drain) refs(Set, *checker) {}

// drains are those of a snapshot, to be found by what they are of.
type drains struct {
	nodes   map[NodeID]*Drain
	zones   map[DrainTarget]*Drain
	regions map[RegionID]*Drain
	edges   map[EdgeID]*Drain
}

func (s *drains) add(d *Drain) {
	switch t := d.Target(); t.Scope {
	case ScopeNode:
		put(&s.nodes, t.Node, d)
	case ScopeZone:
		put(&s.zones, t, d)
	case ScopeRegion:
		put(&s.regions, t.Region, d)
	case ScopeEdge:
		put(&s.edges, t.Edge, d)
	}
}

func put[K comparable](m *map[K]*Drain, k K, d *Drain) {
	if *m == nil {
		*m = map[K]*Drain{}
	}
	(*m)[k] = d
}

// DrainOf returns the drain that a node is under: its own, its zone's or its region's; of several the one whose deadline comes first. Nil
// where it is under none. Of a node that is not in the topology only its own is known.
func (s *Snapshot) DrainOf(id NodeID) *Drain {
	return s.DrainOver(id, s.Node(id))
}

// DrainOver is DrainOf for a node that is, or was, as n says; nil where that is not known.
func (s *Snapshot) DrainOver(id NodeID, n *Node) *Drain {
	if s == nil {
		return nil
	}
	d := s.drained.nodes[id]
	if n == nil {
		return d
	}
	return d.first(s.zoneDrain(n)).first(s.drained.regions[n.Region])
}

func (s *Snapshot) zoneDrain(n *Node) *Drain {
	if len(s.drained.zones) == 0 || n.Zone == "" {
		return nil
	}
	return s.drained.zones[DrainTarget{Scope: ScopeZone, Region: n.Region, Zone: n.Zone}]
}

// IsReserve reports whether a node is drained by nothing but the drain of its region, so that it takes work that no other region can.
func (s *Snapshot) IsReserve(id NodeID) bool {
	n := s.Node(id)
	return n != nil && s.drained.regions[n.Region] != nil && s.drained.nodes[id] == nil && s.zoneDrain(n) == nil
}

// DrainOfRegion returns the drain of a region, or nil.
func (s *Snapshot) DrainOfRegion(id RegionID) *Drain {
	if s == nil {
		return nil
	}
	return s.drained.regions[id]
}

// DrainOfEdge returns the drain of an edge itself, or nil; that of its region is not looked at.
func (s *Snapshot) DrainOfEdge(id EdgeID) *Drain {
	if s == nil {
		return nil
	}
	return s.drained.edges[id]
}
