// SPDX-License-Identifier: Apache-2.0

package balancer

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"meridian/topology"
)

// TestVerdictsOneByOneMakeTheListsThatTheyMakeTogether has nodes change their standing in any order, through panics and back: what picks
// draw from, which each verdict changes by a little, must be what is made of all nodes anew.
func TestVerdictsOneByOneMakeTheListsThatTheyMakeTogether(t *testing.T) {
	const nodes = 40
	tab := policied(t, topology.PolicyLatency, nodes, func(i int) int { return 1 + i%3 })
	rng := rand.New(rand.NewPCG(5, 6))
	panics := map[panicLevel]int{}
	for round := range 4_000 {
		mostly := []Standing{StandingUp, StandingDown, StandingEjected, StandingRefused, StandingUnknown}[round/100%5]
		if rng.IntN(4) == 0 {
			mostly = Standing(rng.IntN(5))
		}
		tab.SetStanding(nodeName(rng.IntN(nodes)), mostly)

		g := tab.view.Load().groupsOf("p")[0]
		got := g.ready.Load()
		tab.mu.Lock()
		g.compile()
		g.pool.settle()
		tab.mu.Unlock()
		want := g.ready.Load()
		panics[got.panic]++
		same := got.panic == want.panic && sameList(got.up, want.up)
		for c := range got.by {
			same = same && sameList(got.by[c], want.by[c])
		}
		if !same {
			t.Fatalf("verdict %d: one by one %+v, anew %+v", round, got, want)
		}
		if up, tiers := tab.AnyUp("p"), tab.Tiers("p")[0]; up != (tiers.Panic == 0 && tiers.Up+tiers.Overflow > 0) {
			t.Fatalf("verdict %d: AnyUp says %v of %+v", round, up, tiers)
		}
	}
	for _, level := range []panicLevel{calm, ignoreBans, ignoreCheck} {
		if panics[level] < 50 {
			t.Errorf("the verdicts led to these levels of panic only: %v", panics)
		}
	}
}

func sameList(a, b list) bool {
	return slices.Equal(a.nodes, b.nodes) && a.weight == b.weight && a.of == b.of && slices.IsSortedFunc(a.nodes, byPlace)
}

func TestANodeIsOccupiedWhileARequestOrAStreamIsOut(t *testing.T) {
	tab := policied(t, topology.PolicyLatency, 1, equalWeights)
	if tab.Occupied(nodeName(0)) || tab.Occupied("stranger") {
		t.Error("a node at which nothing is out is occupied")
	}
	l := mustPick(t, tab, Request{})
	if !tab.Occupied(nodeName(0)) {
		t.Error("a node with a request is not occupied")
	}
	l.Stream()
	if !tab.Occupied(nodeName(0)) {
		t.Error("a node with a stream is not occupied")
	}
	l.Done(time.Now())
	if tab.Occupied(nodeName(0)) {
		t.Error("a node is occupied for good")
	}
}

// BenchmarkVerdictInPanic is a verdict on one of 10,000 nodes of which most are down.
func BenchmarkVerdictInPanic(b *testing.B) {
	tab := policied(b, topology.PolicyLatency, 10_000, equalWeights)
	for i := range 7_000 {
		tab.SetStanding(nodeName(i), StandingDown)
	}
	for i := 0; b.Loop(); i++ {
		tab.SetStanding(nodeName(i%1_000), []Standing{StandingUp, StandingDown}[i/1_000%2])
	}
}
