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
		up := slices.Clone(held.up.nodes)
		tab.SetStanding(topology.NodeID(fmt.Sprint("n", rng.IntN(30))), Standing(rng.IntN(3)))
		if !slices.Equal(held.up.nodes, up) {
			t.Fatalf("step %d: a list that a reader may hold has changed", step)
		}
		got := g.ready.Load()
		g.compile()
		if want := g.ready.Load(); got.up.weight != want.up.weight || !slices.Equal(got.up.nodes, want.up.nodes) || !slices.Equal(got.unknown.nodes, want.unknown.nodes) {
			t.Fatalf("step %d: got %d up and %d unknown, want %d and %d", step, len(got.up.nodes), len(got.unknown.nodes), len(want.up.nodes), len(want.unknown.nodes))
		}
	}
}
