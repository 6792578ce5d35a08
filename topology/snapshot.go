// SPDX-License-Identifier: Apache-2.0

package topology

import (
	"cmp"
	"slices"
)

// Snapshot is the topology as of one revision. It and all that it holds are immutable: safe for concurrent use, and to
// be kept as long as a request lasts. The slices are sorted by name. A nil *Snapshot is an empty one.
type Snapshot struct {
	Revision Revision
	Regions  []*Region
	Edges    []*Edge
	Pools    []*Pool
	Nodes    []*Node
	Routes   []*Route
	Names    []*Name
	Drains   []*Drain
	// Refused are the values that were not taken, each with what is used instead.
	Refused []Refusal

	index   Set
	byPool  map[PoolID][]*Node
	drained drains
	routes  routeTable
}

// Refusal is a stored value that was not taken.
type Refusal struct {
	Mistake
	// Using says what is in its place: "the last good value (revision 41)", "nothing".
	Using string `json:"using"`
}

// Build makes the snapshot of a set. What does not resolve is left out and returned, so that one dangling reference
// costs one resource and not the topology. It takes ownership of nothing: the set may change afterwards.
func Build(rev Revision, set Set) (*Snapshot, []Mistake) {
	kept := Set{}
	for k, r := range set {
		kept[k] = r
	}
	problems := kept.dropDangling()
	s := &Snapshot{Revision: rev, index: kept, byPool: map[PoolID][]*Node{}}
	for _, r := range kept.Sorted() {
		switch r := r.(type) {
		case *Region:
			s.Regions = append(s.Regions, r)
		case *Edge:
			s.Edges = append(s.Edges, r)
		case *Pool:
			s.Pools = append(s.Pools, r)
		case *Node:
			s.Nodes = append(s.Nodes, r)
			s.byPool[r.Pool] = append(s.byPool[r.Pool], r)
		case *Route:
			s.Routes = append(s.Routes, r)
		case *Name:
			s.Names = append(s.Names, r)
		case *Drain:
			s.Drains = append(s.Drains, r)
			s.drained.add(r)
		}
	}
	s.routes = compileRoutes(s.Routes)
	return s, problems
}

// dropDangling removes what refers to something missing until all that is left resolves.
func (s Set) dropDangling() []Mistake {
	var problems []Mistake
	for {
		found := s.CheckWhole()
		if len(found) == 0 {
			return problems
		}
		for _, m := range found {
			delete(s, m.Key)
		}
		problems = append(problems, found...)
	}
}

// Get returns the resource at key, or nil.
func (s *Snapshot) Get(k Key) Resource {
	if s == nil {
		return nil
	}
	return s.index[k]
}

// Region returns a region by name, or nil.
func (s *Snapshot) Region(id RegionID) *Region {
	r, _ := s.Get(Key{KindRegion, string(id)}).(*Region)
	return r
}

// Edge returns an edge by name, or nil.
func (s *Snapshot) Edge(id EdgeID) *Edge {
	e, _ := s.Get(Key{KindEdge, string(id)}).(*Edge)
	return e
}

// Pool returns a pool by name, or nil.
func (s *Snapshot) Pool(id PoolID) *Pool {
	p, _ := s.Get(Key{KindPool, string(id)}).(*Pool)
	return p
}

// Node returns a node by name, or nil.
func (s *Snapshot) Node(id NodeID) *Node {
	n, _ := s.Get(Key{KindNode, string(id)}).(*Node)
	return n
}

// Name returns a DNS name's resource, or nil.
func (s *Snapshot) Name(id NameID) *Name {
	n, _ := s.Get(Key{KindName, string(id)}).(*Name)
	return n
}

// NodesOf returns the nodes of a pool, sorted by name. The caller must not change the slice.
func (s *Snapshot) NodesOf(id PoolID) []*Node {
	if s == nil {
		return nil
	}
	return s.byPool[id]
}

// EdgesIn returns the edges of a region, sorted by name.
func (s *Snapshot) EdgesIn(id RegionID) []*Edge {
	if s == nil {
		return nil
	}
	var out []*Edge
	for _, e := range s.Edges {
		if e.Region == id {
			out = append(out, e)
		}
	}
	return out
}

// List returns the resources of a kind, sorted by name.
func (s *Snapshot) List(k Kind) []Resource {
	if s == nil {
		return nil
	}
	var out []Resource
	for key, r := range s.index {
		if key.Kind == k {
			out = append(out, r)
		}
	}
	slices.SortFunc(out, func(a, b Resource) int { return cmp.Compare(a.Key().Name, b.Key().Name) })
	return out
}
