// SPDX-License-Identifier: Apache-2.0

package balancer

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"meridian/topology"
)

// TestMovingNodesGivesWhatCompilingGives changes standings at random; the lists must be those made anew from all nodes.
func TestMovingNodesGivesWhatCompilingGives(t *testing.T) {
	var nodes []topology.Resource
	for i := range 30 {
		nodes = append(nodes, node(fmt.Sprint("n", i)))
	}
	tab := NewTable()
	tab.Apply(snapshot(t, append(nodes, drain("n3"))...), nil)
	g := tab.view.Load().pools["p"].groups[0]
	rng := rand.New(rand.NewPCG(11, 11))
	for step := range 2000 {
		held := g.ready.Load()
		up := slices.Clone(held.by[classUp].nodes)
		tab.SetStanding(topology.NodeID(fmt.Sprint("n", rng.IntN(30))), Standing(rng.IntN(5)))
		if !slices.Equal(held.by[classUp].nodes, up) {
			t.Fatalf("step %d: a list that a reader may hold has changed", step)
		}
		got := g.ready.Load()
		g.compile()
		g.pool.settle()
		if want := g.ready.Load(); !sameLists(got, want) {
			t.Fatalf("step %d: got %d up and %d unknown, want %d and %d", step, len(got.up.nodes), len(got.by[classUnknown].nodes), len(want.up.nodes), len(want.by[classUnknown].nodes))
		}
	}
}

func sameLists(a, b *ready) bool {
	same := a.panic == b.panic && a.up.weight == b.up.weight && slices.Equal(a.up.nodes, b.up.nodes)
	for c := range a.by {
		same = same && a.by[c].weight == b.by[c].weight && slices.Equal(a.by[c].nodes, b.by[c].nodes)
	}
	return same
}
