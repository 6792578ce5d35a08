// SPDX-License-Identifier: Apache-2.0

package balancer

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"meridian/topology"

	"github.com/google/go-cmp/cmp"
)

func in(region topology.RegionID, name string) *topology.Node {
	return &topology.Node{Name: topology.NodeID(name), Region: region}
}

func TestTheNearestRegionThatHasANodeWins(t *testing.T) {
	tab := table(t, in("eu", "e"), in("us", "u"), in("ap", "p"), in("zz", "z"), in("aa", "a"))
	for _, want := range []topology.NodeID{"e", "u", "p", "a", "z"} { // the last two by name: the order leaves them out
		l := mustPick(t, tab, Request{})
		if got := l.Node().Name; got != want {
			t.Fatalf("picked %s, want %s", got, want)
		}
		l.Done(now)
		tab.SetStanding(want, StandingDown)
	}
}

func TestNodesNotYetCheckedComeAfterAllThatAreUp(t *testing.T) {
	tab := table(t, in("eu", "e"), in("us", "u"))
	tab.SetStanding("e", StandingUnknown)
	if l := mustPick(t, tab, Request{}); l.Node().Name != "u" {
		t.Errorf("picked %s, though u is up", l.Node().Name)
	}
	if l := mustPick(t, tab, Request{Tried: []topology.NodeID{"u"}}); l.Node().Name != "e" {
		t.Errorf("picked %s", l.Node().Name)
	}
	tab.SetStanding("u", StandingUnknown)
	if l := mustPick(t, tab, Request{}); l.Node().Name != "e" {
		t.Errorf("picked %s; want the nearest of the unchecked", l.Node().Name)
	}
}

func TestNoNodeErrorCountsTheReasons(t *testing.T) {
	leaving := node("leaving")
	leaving.Leaving = true
	full := &topology.Node{Name: "full", Capacity: topology.Capacity{Connections: 1}}
	tab := table(t, node("down1"), node("down2"), leaving, node("drained"), drain("drained"), full, node("tried"))
	tab.SetStanding("down1", StandingDown)
	tab.SetStanding("down2", StandingDown)
	if _, err := tab.Bind("full", now); err != nil {
		t.Fatal(err)
	}
	_, err := tab.Pick(Request{Pool: "p", Now: now, Tried: []topology.NodeID{"tried"}})
	var none *NoNodeError
	if !errors.As(err, &none) {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&NoNodeError{Pool: "p", Total: 6, Down: 2, Draining: 2, Full: 1, Tried: 1}, none); diff != "" {
		t.Error(diff)
	}
	if want := "no node of pool p can be picked: of 6, 2 are down, 2 are draining, 1 is full, 1 is tried already"; err.Error() != want {
		t.Errorf("got  %s\nwant %s", err, want)
	}
}

func TestCapacityBoundsWhatIsInFlight(t *testing.T) {
	tab := table(t, &topology.Node{Name: "a", Capacity: topology.Capacity{Connections: 3}}, in("us", "u"))
	var leases []Lease
	for i, want := range []topology.NodeID{"a", "a", "a", "u", "u"} {
		l := mustPick(t, tab, Request{})
		if l.Node().Name != want {
			t.Errorf("pick %d is %s, want %s", i, l.Node().Name, want)
		}
		leases = append(leases, l)
	}
	leases[1].Done(now)
	if l := mustPick(t, tab, Request{}); l.Node().Name != "a" {
		t.Errorf("a place came free, but picked %s", l.Node().Name)
	}
}

func TestTheLighterOfTwoByWeightWins(t *testing.T) {
	tab := table(t, &topology.Node{Name: "one", Weight: 1}, &topology.Node{Name: "three", Weight: 3})
	rng := rand.New(rand.NewPCG(1, 1))
	got := map[topology.NodeID]int{}
	for range 400 { // never given back: the counts end in the ratio of the weights
		l := mustPick(t, tab, Request{Rand: rng.Uint64()})
		got[l.Node().Name]++
	}
	if got["one"] < 99 || got["one"] > 101 {
		t.Errorf("got %v; want 100 and 300", got)
	}
}

// poolOf returns a table with n nodes in one region, all up.
func poolOf(t testing.TB, n int) *Table {
	var nodes []topology.Resource
	for i := range n {
		nodes = append(nodes, node(fmt.Sprintf("n%d", i)))
	}
	tab := NewTable()
	tab.Apply(snapshot(t, nodes...), nil)
	for i := range n {
		tab.SetStanding(topology.NodeID(fmt.Sprintf("n%d", i)), StandingUp)
	}
	return tab
}

// TestPicksAreUniform checks with χ² that idle nodes are picked equally often, for the scan (2 to 4) and the draws.
func TestPicksAreUniform(t *testing.T) {
	// The 0.1 % points of χ² with n-1 degrees of freedom: a fixed seed either passes or fails for ever.
	for n, limit := range map[int]float64{2: 10.83, 3: 13.82, 4: 16.27, 5: 18.47, 10: 27.88, 50: 85.35} {
		tab := poolOf(t, n)
		rng := rand.New(rand.NewPCG(7, uint64(n)))
		const picks = 100_000
		count := map[topology.NodeID]int{}
		for range picks {
			l := mustPick(t, tab, Request{Rand: rng.Uint64()})
			count[l.Node().Name]++
			l.Done(now)
		}
		if x := chiSquared(count, n, picks); x > limit {
			t.Errorf("%d nodes: χ² = %.2f, want at most %.2f: %v", n, x, limit, count)
		}
	}
}

// TestTheTwoDrawsAreDistinct fills one node of five, ten, …: drawn together with any other it must lose, so it must never
// be picked; with replacement it would be in 1 of n² picks. Without it the others are picked equally often.
func TestTheTwoDrawsAreDistinct(t *testing.T) {
	for n, limit := range map[int]float64{2: 0, 5: 16.27, 10: 26.12, 50: 84.04} {
		tab := poolOf(t, n)
		busy, err := tab.Bind("n0", now)
		if err != nil {
			t.Fatal(err)
		}
		rng := rand.New(rand.NewPCG(9, uint64(n)))
		const picks = 100_000
		count := map[topology.NodeID]int{}
		for range picks {
			l := mustPick(t, tab, Request{Rand: rng.Uint64()})
			count[l.Node().Name]++
			l.Done(now)
		}
		busy.Done(now)
		if count["n0"] != 0 {
			t.Errorf("%d nodes: the busier one was picked %d times", n, count["n0"])
		}
		if x := chiSquared(count, n-1, picks); x > limit {
			t.Errorf("%d nodes: χ² = %.2f, want at most %.2f", n, x, limit)
		}
	}
}

// TestEveryPairIsDrawn checks the draws themselves: all ordered pairs equally often.
func TestEveryPairIsDrawn(t *testing.T) {
	const n, draws = 7, 210_000
	rng := rand.New(rand.NewPCG(3, 3))
	count := map[string]int{}
	for range draws {
		seed := rng.Uint64()
		a := draw(seed, 0, n)
		b := a
		for k := uint64(1); b == a; k++ {
			b = draw(seed, k, n)
		}
		count[fmt.Sprint(a, b)]++
	}
	if x := chiSquared(count, n*(n-1), draws); x > 74.75 { // 41 degrees of freedom, 0.1 %
		t.Errorf("χ² = %.2f", x)
	}
}

func chiSquared[K comparable](count map[K]int, n, total int) float64 {
	want := float64(total) / float64(n)
	x := want * float64(n-len(count)) // those that never came
	for _, c := range count {
		x += (float64(c) - want) * (float64(c) - want) / want
	}
	return x
}

func TestPicksStayUniformOverTheNodesThatCanBePicked(t *testing.T) {
	tab := poolOf(t, 20)
	var tried []topology.NodeID
	for i := range 15 {
		tried = append(tried, topology.NodeID(fmt.Sprintf("n%d", i)))
	}
	rng := rand.New(rand.NewPCG(5, 5))
	count := map[topology.NodeID]int{}
	const picks = 50_000
	for range picks {
		l := mustPick(t, tab, Request{Rand: rng.Uint64(), Tried: tried})
		count[l.Node().Name]++
		l.Done(now)
	}
	if x := chiSquared(count, 5, picks); x > 18.47 || len(count) != 5 {
		t.Errorf("χ² = %.2f: %v", x, count)
	}
}

func TestRateBoundsRequestsASecond(t *testing.T) {
	tab := table(t, &topology.Node{Name: "a", Capacity: topology.Capacity{RPS: 50}})
	try := func(at time.Time) bool {
		l, err := tab.Pick(Request{Pool: "p", Now: at})
		l.Done(now)
		return err == nil
	}
	got := 0
	for i := range 10_000 { // ten seconds, one request a millisecond
		if try(now.Add(time.Duration(i) * time.Millisecond)) {
			got++
		}
	}
	if got < 500 || got > 505 {
		t.Errorf("%d requests in 10 s at 50 a second with a burst of 5", got)
	}
	burst, later := 0, now.Add(20*time.Second)
	for burst < 10 && try(later) {
		burst++
	}
	if burst != 5 {
		t.Errorf("after a pause the burst is %d, not 5", burst)
	}
	if !try(now.Add(-time.Hour)) {
		t.Error("a clock that was set back shuts the node")
	}
}

func TestPickDoesNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	for _, n := range []int{2, 100} {
		tab := poolOf(t, n)
		rng := rand.New(rand.NewPCG(1, 2))
		tried := []topology.NodeID{"n1"}
		if got := testing.AllocsPerRun(1000, func() {
			l, err := tab.Pick(Request{Pool: "p", Now: now, Rand: rng.Uint64(), Tried: tried})
			if err != nil {
				t.Fatal(err)
			}
			l.Stream()
			l.Done(now)
			b, _ := tab.Bind("n0", now)
			b.Done(now)
		}); got != 0 {
			t.Errorf("%d nodes: %v allocations", n, got)
		}
	}
}

func BenchmarkPick(b *testing.B) {
	for _, n := range []int{2, 100, 10_000} {
		tab := poolOf(b, n)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			rng := rand.New(rand.NewPCG(1, 2))
			b.ReportAllocs()
			for b.Loop() {
				l, _ := tab.Pick(Request{Pool: "p", Now: now, Rand: rng.Uint64()})
				l.Done(now)
			}
		})
		b.Run(fmt.Sprint(n, "/parallel"), func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				rng := rand.New(rand.NewPCG(1, rand.Uint64()))
				for pb.Next() {
					l, _ := tab.Pick(Request{Pool: "p", Now: now, Rand: rng.Uint64()})
					l.Done(now)
				}
			})
		})
	}
}

func BenchmarkApply10000(b *testing.B) {
	var nodes []topology.Resource
	for i := range 10_000 {
		nodes = append(nodes, node(fmt.Sprintf("n%d", i)))
	}
	s, tab := snapshot(b, nodes...), NewTable()
	b.ReportAllocs()
	for b.Loop() {
		tab.Apply(s, nil)
	}
}

func BenchmarkSetStanding10000(b *testing.B) {
	tab := poolOf(b, 10_000)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		tab.SetStanding("n5000", Standing(i%2+1))
	}
}
