// SPDX-License-Identifier: Apache-2.0

package balancer

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"meridian/topology"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func zoned(name, zone string, connections int) *topology.Node {
	return &topology.Node{Name: topology.NodeID(name), Zone: zone, Capacity: topology.Capacity{Connections: connections}}
}

// zonedTable is that of an edge in zone a.
func zonedTable(t testing.TB, resources ...topology.Resource) *Table {
	t.Helper()
	tab := NewTable()
	tab.SetZone("a")
	tab.Apply(snapshot(t, resources...), []topology.RegionID{"eu", "us"})
	for _, r := range resources {
		if n, ok := r.(*topology.Node); ok {
			tab.SetStanding(n.Name, StandingUp)
		}
	}
	return tab
}

func TestTheOwnZoneComesBeforeTheRegionAndThatBeforeOthers(t *testing.T) {
	far := in("us", "u")
	far.Zone = "a" // the same letter in another region is another zone
	tab := zonedTable(t, zoned("far-a", "b", 0), zoned("near", "a", 0), far)
	for tier, want := range []topology.NodeID{"near", "far-a", "u"} {
		l := mustPick(t, tab, Request{})
		if l.Node().Name != want || l.Why().Tier != tier {
			t.Fatalf("picked %s of tier %d, want %s", l.Node().Name, l.Why().Tier, want)
		}
		l.Done(now)
		tab.SetStanding(want, StandingRefused)
	}
}

// ticks has the time go on, and returns it.
func (t *Table) ticks(from time.Time, d time.Duration) time.Time {
	for end := from.Add(d); from.Before(end); {
		from = from.Add(TickInterval)
		t.Tick(from)
	}
	return from
}

// TestATierSpillsSmoothlyAboveItsTarget fills the own zone to 90 % of its capacity with a target of 80 %: half of what is new goes on. The
// change comes over seconds, and idle again the zone takes all.
func TestATierSpillsSmoothlyAboveItsTarget(t *testing.T) {
	tab := zonedTable(t, zoned("a1", "a", 100), zoned("a2", "a", 100), zoned("b1", "b", 0))
	share := func() float64 { return tab.Tiers("p")[0].Share }
	at := tab.ticks(now, time.Second)
	if s := share(); s != 1 {
		t.Fatalf("idle, the zone's share is %v", s)
	}
	var out []Lease
	for _, n := range []topology.NodeID{"a1", "a2"} {
		for range 90 {
			l, err := tab.Bind(n, at)
			if err != nil {
				t.Fatal(err)
			}
			l.Untimed() // or they would be taken for hanging
			out = append(out, l)
		}
	}
	at = tab.ticks(at, TickInterval)
	if s := share(); s < 0.85 {
		t.Errorf("a tenth of a second later it is %v", s)
	}
	at = tab.ticks(at, 10*time.Second)
	if s := share(); s < 0.47 || s > 0.53 {
		t.Errorf("at 90 %% it is %v, want half", s)
	}
	rng := rand.New(rand.NewPCG(1, 1))
	first := 0
	for range 4000 {
		if tab.view.Load().pools["p"].first(&wish{rand: rng.Uint64()}) == 0 {
			first++
		}
	}
	if math.Abs(float64(first)-4000*share()) > 130 { // four standard deviations
		t.Errorf("%d of 4000 picks begin with the zone, its share is %v", first, share())
	}
	for i := range out {
		out[i].Done(at)
	}
	tab.ticks(at, 10*time.Second)
	if s := share(); s != 1 {
		t.Errorf("idle again it is %v", s)
	}
}

func TestATierOfWhichTooManyAreGonePassesOn(t *testing.T) {
	var all []topology.Resource
	for i := range 10 {
		all = append(all, zoned(fmt.Sprint("a", i), "a", 0))
	}
	tab := zonedTable(t, append(all, zoned("b", "b", 0))...)
	at := tab.ticks(now, time.Second)
	for down, want := range map[int]float64{2: 1, 5: 0.7} { // 1.4 × 8/10 is above one
		for i := range 10 {
			tab.SetStanding(topology.NodeID(fmt.Sprint("a", i)), map[bool]Standing{true: StandingDown, false: StandingUp}[i < down])
		}
		at = tab.ticks(at, 15*time.Second)
		if s := tab.Tiers("p")[0].Share; math.Abs(s-want) > 0.03 {
			t.Errorf("with %d of 10 down the zone's share is %v, want %v", down, s, want)
		}
	}
}

// TestTheRoomIsWhatIsLeftOfTheShedFraction is the one formula: of new work, that part is not shed which the zone has room for.
func TestTheRoomIsWhatIsLeftOfTheShedFraction(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		capacity := rapid.Float64Range(1, 1e6).Draw(t, "capacity")
		target := capacity * rapid.Float64Range(0.1, 0.99).Draw(t, "target")
		used := capacity * rapid.Float64Range(0, 1.5).Draw(t, "used")
		shed := 0.0
		switch {
		case used >= capacity:
			shed = 1
		case used > target:
			shed = (used - target) / (capacity - target)
		}
		got := load{up: 1, all: 1, used: used, goal: target, full: capacity}.room()
		if math.Abs(got-max(leastRoom, 1-shed)) > 1e-6 {
			t.Fatalf("room %v, shed %v", got, shed)
		}
	})
}

func TestAvailabilityIsQuantisedAndChangesOnceASecond(t *testing.T) {
	tab := zonedTable(t, zoned("a1", "a", 100), zoned("a2", "a", 100), zoned("b1", "b", 0))
	if tab.Availability() != nil {
		t.Error("something before the first tick")
	}
	at := tab.ticks(now, 2*time.Second)
	want := []Availability{
		{Pool: "p", Region: "eu", Zone: "a", Healthy: 1, A: 1, Target: 0.8},
		{Pool: "p", Region: "eu", Zone: "b", Healthy: 1, A: 1, Target: 0.8},
	}
	if diff := cmp.Diff(want, tab.Availability()); diff != "" {
		t.Error(diff)
	}
	for range 87 {
		for _, n := range []topology.NodeID{"a1", "a2"} {
			l, err := tab.Bind(n, at)
			if err != nil {
				t.Fatal(err)
			}
			l.Untimed()
		}
	}
	changes, last := 0, tab.Availability()[0]
	for range 100 {
		at = tab.ticks(at, TickInterval)
		a := tab.Availability()[0]
		if a != last {
			changes++
		}
		last = a
		for _, v := range []float64{a.A, a.Utilization, a.Healthy, a.Target} {
			if math.Abs(v*20-math.Round(v*20)) > 1e-9 {
				t.Errorf("%v is not a multiple of 5 %%", v)
			}
		}
	}
	if changes == 0 || changes > 10 {
		t.Errorf("%d changes in ten seconds", changes)
	}
	if last.Utilization != 0.85 || last.A != 0.65 {
		t.Errorf("at 87 %% of the capacity: %+v", last)
	}
	tab.SetStanding("a1", StandingDown)
	tab.SetStanding("a2", StandingRefused)
	tab.ticks(at, 2*time.Second)
	if a := tab.Availability()[0]; a.A != 0 || a.Healthy != 0 {
		t.Errorf("with none that can be picked: %+v", a)
	}
}

func TestAFullZoneKeepsATrickle(t *testing.T) {
	tab := zonedTable(t, zoned("a1", "a", 10), zoned("b1", "b", 0))
	for range 10 {
		l, err := tab.Bind("a1", now)
		if err != nil {
			t.Fatal(err)
		}
		l.Untimed()
	}
	tab.ticks(now, 20*time.Second)
	if a := tab.Availability()[0]; a.A != 0.05 || a.Utilization != 1 {
		t.Errorf("%+v", a)
	}
}

// TestTheSlowStartsCurve watches a new node's share: a tenth, then in proportion to its time.
func TestTheSlowStartsCurve(t *testing.T) {
	var ten []topology.Resource
	for i := range 9 {
		ten = append(ten, node(fmt.Sprint("n", i)))
	}
	for _, policy := range []topology.Policy{topology.PolicyRandom, topology.PolicyWeightedRoundRobin, topology.PolicyLatency} {
		p := &topology.Pool{Name: "p", Policy: policy}
		tab := table(t, append(ten, p)...)
		at := tab.ticks(now, time.Second)
		if build := tab.Apply(snapshot(t, append(ten, p, node("new"))...), nil); build != nil {
			build()
		}
		tab.SetStanding("new", StandingUp)
		one := mustPick(t, tab, Request{Now: at, Tried: []topology.NodeID{"n0", "n1", "n2", "n3", "n4", "n5", "n6", "n7", "n8"}})
		one.Answered(at, Outcome{})
		one.Done(at)
		began := at
		at = tab.ticks(at, TickInterval)
		rng := rand.New(rand.NewPCG(4, 4))
		for _, c := range []struct {
			after time.Duration
			share float64
		}{{0, 0.1}, {15 * time.Second, 0.5}, {30 * time.Second, 1}} {
			for at.Sub(began) < c.after {
				at = tab.ticks(at, TickInterval)
			}
			if got := tab.view.Load().nodes["new"].state.share.load(); math.Abs(got-c.share) > 0.02 {
				t.Errorf("%s: after %s the share is %.2f, want %.2f", policy, c.after, got, c.share)
			}
			if policy == topology.PolicyLatency {
				continue // by what is in flight, and here nothing is
			}
			const picks = 40_000
			got := 0
			for range picks {
				l := mustPick(t, tab, Request{Now: at, Rand: rng.Uint64()})
				if l.Node().Name == "new" {
					got++
				}
				l.Answered(at.Add(ms), Outcome{})
				l.Done(at)
			}
			if want := picks * c.share / (9 + c.share); math.Abs(float64(got)-want) > 4*math.Sqrt(want) {
				t.Errorf("%s: after %s %d picks of %d, want %.0f", policy, c.after, got, picks, want)
			}
		}
	}
}

func TestANewNodeGetsOneRequestUntilThatIsAnswered(t *testing.T) {
	tab := table(t, node("a"), node("b"), node("c"))
	tab.Apply(snapshot(t, node("a"), node("b"), node("c"), node("new")), nil)
	tab.SetStanding("new", StandingUp)
	for _, n := range []topology.NodeID{"a", "b", "c"} { // it would be the best by far
		for range 50 {
			if _, err := tab.Bind(n, now); err != nil {
				t.Fatal(err)
			}
		}
	}
	tab.Tick(now)
	var first Lease
	for range 30 {
		if l := mustPick(t, tab, Request{Rand: rand.Uint64()}); l.Node().Name == "new" {
			first = l
		}
	}
	if n := tab.Load("new").InFlight; n != 1 {
		t.Fatalf("%d in flight before the first answer", n)
	}
	first.Answered(now.Add(ms), Outcome{})
	for range 5 {
		mustPick(t, tab, Request{Rand: rand.Uint64()})
	}
	if n := tab.Load("new").InFlight; n < 2 {
		t.Errorf("%d in flight after it", n)
	}
}

func TestThereIsNoSlowStartWhereMostNodesAreNew(t *testing.T) {
	slow := func(tab *Table) int { return tab.Tiers("p")[0].SlowStart }
	tab := table(t, node("a"), node("b"), node("c"))
	if n := slow(tab); n != 0 {
		t.Errorf("at the start %d are in slow start", n)
	}
	var all []topology.Resource
	for i := range 30 { // from 3 to 30
		all = append(all, node(fmt.Sprint("m", i)))
	}
	tab.Apply(snapshot(t, append(all, node("a"), node("b"), node("c"))...), nil)
	for i := range 30 {
		tab.SetStanding(topology.NodeID(fmt.Sprint("m", i)), StandingUp)
	}
	if n := slow(tab); n != 30 {
		t.Errorf("%d are in slow start", n)
	}
	tab.Tick(now)
	if n := slow(tab); n != 0 {
		t.Errorf("though most are new, %d are in slow start", n)
	}
}

func TestANodeThatComesBackBeginsSlowlyAndUnknown(t *testing.T) {
	for _, out := range []Standing{StandingDown, StandingEjected, StandingRefused} {
		tab := table(t, node("a"), node("b"), node("c"))
		at := now
		for range 10 {
			l := mustPick(t, tab, Request{Now: at, Tried: []topology.NodeID{"b", "c"}})
			answer(&l, &at, ms, Failed)
		}
		tab.SetStanding("a", out)
		tab.SetStanding("a", StandingUp)
		tab.Tick(at)
		for _, c := range tab.Explain("p") {
			if slow := c.Node == "a"; c.SlowStart != slow || c.Score != 1 {
				t.Errorf("after %s: %+v", out, c)
			}
		}
	}
}

func TestAboveItsUtilizationANodeTakesOnlyWhatHasNowhereElseToGo(t *testing.T) {
	over := node("over")
	over.Labels = map[string]string{"role": "overflow"}
	tab := table(t, &topology.Node{Name: "a", Capacity: topology.Capacity{Connections: 10}}, &topology.Node{Name: "b", Capacity: topology.Capacity{Connections: 10}}, over)
	over.Capacity.Connections = 2
	tab.Apply(snapshot(t, &topology.Node{Name: "a", Capacity: topology.Capacity{Connections: 10}}, &topology.Node{Name: "b", Capacity: topology.Capacity{Connections: 10}}, over), nil)
	loads := func() [3]int {
		return [3]int{tab.Load("a").InFlight, tab.Load("b").InFlight, tab.Load("over").InFlight}
	}
	for i, want := range map[int][3]int{18: {9, 9, 0}} {
		for range i {
			mustPick(t, tab, Request{Rand: rand.Uint64()})
		}
		if loads() != want {
			t.Fatalf("%d picks: %v, want %v", i, loads(), want)
		}
	}
	mustPick(t, tab, Request{})
	mustPick(t, tab, Request{})
	if loads() != [3]int{9, 9, 2} { // 0.9 × 2, rounded up
		t.Fatalf("above the utilization: %v", loads())
	}
	mustPick(t, tab, Request{})
	mustPick(t, tab, Request{})
	if loads() != [3]int{10, 10, 2} {
		t.Fatalf("above everybody's: %v", loads())
	}
	if _, err := tab.Pick(Request{Pool: "p", Now: now}); err == nil {
		t.Error("a pick above all limits")
	}
}

func TestTheFallbackPoolTakesWhatThePoolCannot(t *testing.T) {
	spare := node("spare")
	spare.Pool = "q"
	tab := table(t, &topology.Pool{Name: "p", FallbackPool: "q"}, &topology.Pool{Name: "q", FallbackPool: "p"}, node("a"), node("b"), spare)
	if l := mustPick(t, tab, Request{}); l.Node().Name == "spare" {
		t.Error("the fallback is used though a node is up")
	}
	tab.SetStanding("a", StandingDown)
	tab.SetStanding("b", StandingDown)
	if l := mustPick(t, tab, Request{}); l.Node().Name != "spare" || l.Why().Pool != "q" {
		t.Errorf("picked %s", l.Node().Name)
	}
	tab.SetStanding("spare", StandingDown)
	tab.Apply(snapshot(t, &topology.Pool{Name: "p", FallbackPool: "q"}, &topology.Pool{Name: "q", FallbackPool: "p"}, node("a"), node("b")), nil)
	if _, err := tab.Pick(Request{Pool: "p", Now: now}); err == nil {
		t.Error("two fallbacks of each other end in a node")
	}
}

func TestPanicIgnoresBansBeforeChecksAndNeverADrain(t *testing.T) {
	picked := func(tab *Table) map[topology.NodeID]bool {
		got := map[topology.NodeID]bool{}
		for i := range 200 {
			l := mustPick(t, tab, Request{Rand: rand.New(rand.NewPCG(1, uint64(i))).Uint64()})
			got[l.Node().Name] = true
			defer l.Done(now)
		}
		return got
	}
	all := []topology.Resource{node("a"), node("b"), node("c"), node("d"), node("e"), node("drained"), drain("drained")}
	for _, c := range []struct {
		name      string
		standings map[topology.NodeID]Standing
		want      []topology.NodeID
	}{
		{"most are up", map[topology.NodeID]Standing{"a": StandingEjected, "b": StandingDown}, []topology.NodeID{"c", "d", "e"}},
		{"bans are enough", map[topology.NodeID]Standing{"a": StandingEjected, "b": StandingEjected, "c": StandingDown}, []topology.NodeID{"a", "b", "d", "e"}},
		{"checks, too", map[topology.NodeID]Standing{"a": StandingEjected, "b": StandingDown, "c": StandingDown, "d": StandingDown},
			[]topology.NodeID{"a", "b", "c", "d", "e"}},
		{"those that refuse don't count", map[topology.NodeID]Standing{"a": StandingRefused, "b": StandingRefused, "c": StandingRefused, "d": StandingDown},
			[]topology.NodeID{"e"}},
		{"all refuse", map[topology.NodeID]Standing{"a": StandingRefused, "b": StandingRefused, "c": StandingRefused, "d": StandingRefused, "e": StandingRefused},
			[]topology.NodeID{"a", "b", "c", "d", "e"}},
		{"one is not yet checked", map[topology.NodeID]Standing{"a": StandingUnknown, "b": StandingDown, "c": StandingDown, "d": StandingDown, "e": StandingDown},
			[]topology.NodeID{"a"}},
		{"none is up", map[topology.NodeID]Standing{"a": StandingDown, "b": StandingDown, "c": StandingDown, "d": StandingDown, "e": StandingDown},
			[]topology.NodeID{"a", "b", "c", "d", "e"}},
	} {
		tab := table(t, all...)
		for id, s := range c.standings {
			tab.SetStanding(id, s)
		}
		want := map[topology.NodeID]bool{}
		for _, id := range c.want {
			want[id] = true
		}
		got := picked(tab)
		if c.name == "those that refuse don't count" { // one up of two that count is half
			delete(got, "d")
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
	}
}

func TestPanicDoesNotIgnoreChecksWhileAnotherRegionCanTakeIt(t *testing.T) {
	tab := table(t, node("a"), node("b"), node("c"), in("us", "u"))
	tab.SetStanding("a", StandingDown)
	tab.SetStanding("b", StandingDown)
	for range 50 {
		if l := mustPick(t, tab, Request{Rand: rand.Uint64()}); l.Node().Name != "c" {
			t.Fatalf("picked %s", l.Node().Name)
		}
	}
}

// TestThereIsNeverNoneWhileOneIsUp has nodes stand anyhow: a pick must find one that is up, if there is, and never a drained one.
func TestThereIsNeverNoneWhileOneIsUp(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(1, 12).Draw(rt, "nodes")
		p := rapid.SampledFrom(allPolicies).Draw(rt, "policy")
		resources := []topology.Resource{&topology.Pool{Name: "p", Policy: p}}
		for i := range n {
			x := in(rapid.SampledFrom([]topology.RegionID{"eu", "us"}).Draw(rt, "region"), string(nodeName(i)))
			x.Zone = rapid.SampledFrom([]string{"", "a", "b"}).Draw(rt, "zone")
			if rapid.Bool().Draw(rt, "overflow") {
				x.Labels = map[string]string{"role": "overflow"}
			}
			if resources = append(resources, x); rapid.IntRange(0, 4).Draw(rt, "drained") == 0 {
				resources = append(resources, drain(string(x.Name)))
			}
		}
		tab := zonedTable(t, resources...)
		snap := snapshot(t, resources...)
		up := 0
		for i := range n {
			s := Standing(rapid.IntRange(0, 4).Draw(rt, "standing"))
			tab.SetStanding(nodeName(i), s)
			if s == StandingUp && snap.DrainOf(nodeName(i)) == nil {
				up++
			}
		}
		if rapid.Bool().Draw(rt, "tick") {
			tab.Tick(now)
		}
		l, err := tab.Pick(Request{Pool: "p", Now: now, Rand: rapid.Uint64().Draw(rt, "rand"), Key: 7, HasKey: true})
		if err != nil && up > 0 {
			rt.Fatalf("%d are up, and: %v", up, err)
		}
		if err == nil && snap.DrainOf(l.Node().Name) != nil {
			rt.Fatalf("picked %s, which is drained", l.Node().Name)
		}
	})
}

// TestAZoneThatAnswersNothingIsLeftBeforeItsChecksFail has requests of the own zone hang, and others fail.
func TestAZoneThatAnswersNothingIsLeftBeforeItsChecksFail(t *testing.T) {
	for _, kind := range []OutcomeKind{ClientGone, Failed} {
		tab := zonedTable(t, zoned("a1", "a", 0), zoned("a2", "a", 0), zoned("b1", "b", 0))
		at := now
		for range 200 { // its times become known
			l := mustPick(t, tab, Request{Now: at, Rand: rand.Uint64()})
			answer(&l, &at, 10*ms, OK)
		}
		at = tab.ticks(at, time.Second)
		for _, n := range []topology.NodeID{"a1", "a2"} {
			for range 4 {
				l, err := tab.Bind(n, at)
				if err != nil {
					t.Fatal(err)
				}
				if kind == Failed {
					answer(&l, &at, ms, Failed)
				}
			}
		}
		if at = tab.ticks(at, 300*ms); tab.Tiers("p")[0].Share != 0 {
			t.Errorf("a zone in which all hangs or fails (%d) has a share of %v", kind, tab.Tiers("p")[0].Share)
		}
		if l := mustPick(t, tab, Request{Now: at}); l.Node().Name != "b1" {
			t.Errorf("picked %s", l.Node().Name)
		}
	}
}

// TestAnIdleNodeInSlowStartIsNotForgotten is Envoy's #19437: where nothing is in flight, a node of a tenth of the others' weight would lose
// each time, and never begin. It must have about a tenth of its share.
func TestAnIdleNodeInSlowStartIsNotForgotten(t *testing.T) {
	for _, policy := range []topology.Policy{topology.PolicyLatency, topology.PolicyLeastRequest} {
		for _, n := range []int{2, 9, 60} {
			resources := []topology.Resource{&topology.Pool{Name: "p", Policy: policy}}
			for i := range n - 1 {
				resources = append(resources, node(string(nodeName(i))))
			}
			tab := table(t, resources...)
			tab.Apply(snapshot(t, append(resources, node("new"))...), nil)
			tab.SetStanding("new", StandingUp)
			rng := rand.New(rand.NewPCG(8, 8))
			const picks = 40_000
			got := 0
			for range picks {
				l := mustPick(t, tab, Request{Rand: rng.Uint64()})
				if l.Node().Name == "new" {
					got++
				}
				l.Answered(now.Add(ms), Outcome{})
				l.Done(now)
			}
			if share := float64(got) / picks * float64(n); share < 0.03 || share > 0.25 { // least_request gives half of its ties to the others
				t.Errorf("%s, %d nodes: %.3f of its share", policy, n, share)
			}
		}
	}
}
