// SPDX-License-Identifier: Apache-2.0

package health_test

import (
	"fmt"
	"slices"
	"testing"

	"meridian/health"
	"meridian/topology"

	"github.com/google/go-cmp/cmp"
)

// atScale returns 100 edges and 10,000 nodes in 8 regions of 4 zones, of which the last has no edge.
func atScale() (edges []*topology.Edge, nodes []*topology.Node) {
	region := func(i int) topology.RegionID { return topology.RegionID(fmt.Sprintf("r%d", i%8)) }
	for i := range 100 {
		edges = append(edges, &topology.Edge{Name: topology.EdgeID(fmt.Sprintf("edge-%d", i)), Region: region(i), Zone: fmt.Sprintf("z%d", i/8%3)})
	}
	for i := range 10000 {
		nodes = append(nodes, &topology.Node{Name: topology.NodeID(fmt.Sprintf("n-%d", i)), Region: region(i), Zone: fmt.Sprintf("z%d", i/8%4)})
	}
	return edges, nodes
}

// TestAHundredEdgesShareTheChecksOfTenThousandNodes counts who checks what: each node is checked by its zone's edges, and by three at
// least, and no edge has much more to do than its zone and an even part of the rest.
func TestAHundredEdgesShareTheChecksOfTenThousandNodes(t *testing.T) {
	edges, nodes := atScale()
	roster := health.NewRoster(edges)
	byEdge := map[topology.EdgeID]int{}
	shared := map[topology.EdgeID]int{} // of the zone without edges
	sum := 0
	for _, n := range nodes {
		of := roster.Of(n)
		sum += len(of)
		if len(of) < health.FewestCheckers || len(of) > 5 || !slices.IsSorted(of) {
			t.Fatalf("%s is checked by %v", n.Name, of)
		}
		for _, e := range edges {
			checks := slices.Contains(of, e.Name)
			if own := e.Region == n.Region && e.Zone == n.Zone; own && !checks || checks && e.Region != n.Region {
				t.Fatalf("%s in %s, %s is checked by %v; %s is in %s, %s", n.Name, n.Region, n.Zone, of, e.Name, e.Region, e.Zone)
			}
		}
		for _, e := range of {
			byEdge[e]++
			if n.Zone == "z3" {
				shared[e]++
			}
		}
	}
	least, most := 10000, 0
	for _, e := range edges {
		// 313 nodes of the zone without edges in a region of 12 or 13 edges, each checked by three of them: 72 to 78 a node of hash.
		if n := shared[e.Name]; n < 40 || n > 120 {
			t.Errorf("%s checks %d nodes of the zone without an edge; want about 75", e.Name, n)
		}
		least, most = min(least, byEdge[e.Name]), max(most, byEdge[e.Name])
	}
	t.Logf("%d checks in all, %d to %d an edge", sum, least, most)
	if most > 500 || least < 300 {
		t.Errorf("edges check %d to %d nodes; want 300 to 500 of the 1250 of their region", least, most)
	}
}

// TestTheLossOfAnEdgeChangesOnlyWhatItChecked takes one edge after another away.
func TestTheLossOfAnEdgeChangesOnlyWhatItChecked(t *testing.T) {
	edges, nodes := atScale()
	whole := health.NewRoster(edges)
	for lost := range 5 {
		less := health.NewRoster(slices.Concat(edges[:lost], edges[lost+1:]))
		changed := 0
		for _, n := range nodes {
			before, after := whole.Of(n), less.Of(n)
			if !slices.Contains(before, edges[lost].Name) {
				if diff := cmp.Diff(before, after); diff != "" {
					t.Fatalf("%s was not checked by %s, and: %s", n.Name, edges[lost].Name, diff)
				}
				continue
			}
			changed++
			kept := slices.DeleteFunc(slices.Clone(before), func(e topology.EdgeID) bool { return e == edges[lost].Name })
			for _, e := range kept {
				if !slices.Contains(after, e) {
					t.Fatalf("%s: %v became %v without %s", n.Name, before, after, edges[lost].Name)
				}
			}
			if len(after) < health.FewestCheckers {
				t.Fatalf("%s is left to %v", n.Name, after)
			}
		}
		if changed > 500 {
			t.Errorf("the loss of %s changed %d nodes", edges[lost].Name, changed)
		}
	}
}

func TestSmallFleetsCheckEverything(t *testing.T) {
	edge := func(name, region, zone string) *topology.Edge {
		return &topology.Edge{Name: topology.EdgeID(name), Region: topology.RegionID(region), Zone: zone}
	}
	node := &topology.Node{Name: "n", Region: "eu", Zone: "a"}
	for _, c := range []struct {
		name  string
		edges []*topology.Edge
		want  []topology.EdgeID
	}{
		{"nobody is alive", nil, nil},
		{"one of its region", []*topology.Edge{edge("e1", "eu", "b"), edge("u1", "us", "a")}, []topology.EdgeID{"e1"}},
		{"three of its region", []*topology.Edge{edge("e3", "eu", ""), edge("e1", "eu", "a"), edge("e2", "eu", "b")}, []topology.EdgeID{"e1", "e2", "e3"}},
		{"edges without a zone belong to all", []*topology.Edge{edge("e1", "eu", ""), edge("e2", "eu", ""), edge("e3", "eu", ""), edge("e4", "eu", ""), edge("e5", "eu", "b")},
			[]topology.EdgeID{"e1", "e2", "e3", "e4"}},
		{"none of its region", []*topology.Edge{edge("u1", "us", "a"), edge("u2", "us", "")}, []topology.EdgeID{"u1", "u2"}},
	} {
		roster := health.NewRoster(c.edges)
		if diff := cmp.Diff(c.want, roster.Of(node)); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
	}
	if !health.NewRoster([]*topology.Edge{edge("e1", "eu", "")}).Checks("e1", node) {
		t.Error("the only edge doesn't check the node")
	}
}

func BenchmarkRosterOfTenThousandNodes(b *testing.B) {
	edges, nodes := atScale()
	for b.Loop() {
		roster := health.NewRoster(edges)
		for _, n := range nodes {
			roster.Of(n)
		}
	}
}
