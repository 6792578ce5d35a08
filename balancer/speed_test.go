// SPDX-License-Identifier: Apache-2.0

package balancer

import (
	"math"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"meridian/topology"
)

func TestARoutesMedianIsFound(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	r := &Route{}
	if r.Median() != 0 {
		t.Error("a median of nothing")
	}
	for range 3000 { // log-normal, median 20 ms, with σ = 1 as services have
		r.learn(20e6 * math.Exp(rng.NormFloat64()))
	}
	if m := r.Median(); m < 17*ms || m > 23*ms {
		t.Errorf("median %s, want about 20ms", m)
	}
	for range 400 { // the route has become ten times slower
		r.learn(200e6 * math.Exp(rng.NormFloat64()))
	}
	if m := r.Median(); m < 150*ms || m > 260*ms {
		t.Errorf("median %s, want about 200ms", m)
	}
}

func TestOneOddAnswerHardlyMovesAMedian(t *testing.T) {
	r := &Route{}
	for range 100 {
		r.learn(float64(10 * ms))
	}
	r.learn(math.Inf(1))
	r.learn(-1)
	if m := r.Median(); m < 9*ms || m > 11*ms {
		t.Errorf("median %s", m)
	}
}

func TestARoutesMedianIsKeptByName(t *testing.T) {
	routed := func(names ...topology.RouteID) *topology.Snapshot {
		r := []topology.Resource{node("a")}
		for _, n := range names {
			r = append(r, &topology.Route{Name: n, Pool: "p"})
		}
		return snapshot(t, r...)
	}
	tab := NewTable()
	tab.Apply(routed("r", "s"), nil)
	one := tab.Route("r")
	tab.Apply(routed("r"), nil)
	if one == nil || tab.Route("r") != one {
		t.Error("a route that stays is another one")
	}
	if tab.Route("s") != nil || tab.Route("x") != nil {
		t.Error("a route that is not in the topology is kept")
	}
}

// answer has a lease answered after a time.
func answer(l *Lease, at *time.Time, took time.Duration, k OutcomeKind) {
	*at = at.Add(took)
	l.Answered(*at, Outcome{Kind: k})
	l.Done(*at)
}

// speedOf returns a node's speed as of now.
func (t *Table) speedOf(id topology.NodeID, at time.Time) float64 {
	return t.view.Load().nodes[id].state.speed.value(at.UnixNano(), 1)
}

func TestASpeedIsAgainstTheRoutesMedian(t *testing.T) {
	tab := table(t, node("a"), &topology.Route{Name: "fast", Pool: "p"}, &topology.Route{Name: "slow", Pool: "p"})
	at := now
	for range 400 { // the same node, two routes a thousand times apart: it is neither fast nor slow
		for _, r := range []struct {
			id   topology.RouteID
			took time.Duration
		}{{"fast", ms}, {"slow", time.Second}} {
			l := mustPick(t, tab, Request{Route: tab.Route(r.id), Now: at})
			answer(&l, &at, r.took, OK)
		}
	}
	if s := tab.speedOf("a", at); s < 0.9 || s > 1.1 {
		t.Errorf("speed %.2f, want 1", s)
	}
}

func TestSpeedsFollowSlowAnswersAndForget(t *testing.T) {
	tab := table(t, node("a"))
	at := now
	ask := func(took time.Duration, k OutcomeKind) {
		l := mustPick(t, tab, Request{Now: at})
		answer(&l, &at, took, k)
	}
	for range 500 {
		ask(10*ms, OK)
	}
	ask(30*ms, OK)
	if s := tab.speedOf("a", at); s > 1.2 {
		t.Errorf("one answer of three times the time gives %.2f", s)
	}
	for range 2 {
		ask(500*ms, OK)
	}
	if s := tab.speedOf("a", at); s < 2 {
		t.Errorf("two answers of fifty times the time give %.2f", s)
	}
	if s := tab.speedOf("a", at.Add(time.Minute)); s > 1.2 {
		t.Errorf("after a minute of silence %.2f", s)
	}
}

func TestFailuresCountByTheirRun(t *testing.T) {
	tab := table(t, node("a"))
	at := now
	ask := func(k OutcomeKind) float64 {
		l := mustPick(t, tab, Request{Now: at})
		answer(&l, &at, 10*ms, k)
		return tab.speedOf("a", at)
	}
	for range 100 {
		ask(OK)
	}
	one := ask(Failed)
	for range 8 {
		ask(OK)
	}
	healed := tab.speedOf("a", at)
	for range 8 {
		ask(Failed)
	}
	run := tab.speedOf("a", at)
	if one < 5 || healed > 2 || run < 300 { // the whole penalty is 5s / 10ms = 500
		t.Errorf("one failure %.1f, after eight good answers %.1f, a run of eight %.1f", one, healed, run)
	}
}

func TestRetryAfterIsHonoured(t *testing.T) {
	tab := table(t, node("a"), node("b"))
	for range 100 {
		l := mustPick(t, tab, Request{})
		l.Answered(now.Add(10*ms), Outcome{})
		l.Done(now.Add(10 * ms))
	}
	l := mustPick(t, tab, Request{Tried: []topology.NodeID{"b"}})
	l.Answered(now, Outcome{Kind: Failed, RetryAfter: time.Hour})
	l.Done(now)
	for _, c := range []struct {
		after time.Duration
		held  bool
	}{{time.Second, true}, {299 * time.Second, true}, {301 * time.Second, false}} {
		tab.Tick(now.Add(c.after))
		if got := tab.speedOf("a", now.Add(c.after)) > 100; got != c.held {
			t.Errorf("%s later the node is left alone: %v", c.after, got)
		}
	}
}

func TestAClientThatLeavesCountsOnlyIfItHasWaitedLong(t *testing.T) {
	tab := table(t, node("a"))
	at := now
	for range 100 {
		l := mustPick(t, tab, Request{Now: at})
		answer(&l, &at, 10*ms, OK)
	}
	for range 20 {
		l := mustPick(t, tab, Request{Now: at})
		answer(&l, &at, ms, ClientGone)
	}
	if s := tab.speedOf("a", at); s < 0.9 || s > 1.1 {
		t.Errorf("clients that left early made it %.2f", s)
	}
	for range 3 {
		l := mustPick(t, tab, Request{Now: at})
		at = at.Add(time.Second)
		l.Done(at) // not answered: the same
	}
	if s := tab.speedOf("a", at); s < 4 {
		t.Errorf("three that waited a second made it %.2f", s)
	}
}

func TestAnUploadIsNotTimed(t *testing.T) {
	tab := table(t, node("a"))
	at := now
	for range 100 {
		l := mustPick(t, tab, Request{Now: at})
		answer(&l, &at, 10*ms, OK)
	}
	l := mustPick(t, tab, Request{Now: at})
	l.Untimed()
	at = at.Add(time.Minute)
	if old, _ := tab.view.Load().nodes["a"].state.ages.oldest(at.UnixNano()); old != 0 {
		t.Errorf("an upload is %.0f medians old", old)
	}
	l.Answered(at, Outcome{})
	l.Done(at)
	if s := tab.speedOf("a", at); s > 1.1 {
		t.Errorf("an upload of a minute made it %.2f", s)
	}
}

// TestTheOldestIsKnownWhateverComesAndGoes compares with a list of what waits, at random.
func TestTheOldestIsKnownWhateverComesAndGoes(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	a := &ages{}
	class := ageClass(float64(10 * ms))
	type waiting struct {
		slot  uint16
		began int64
	}
	var list []waiting
	at := now.UnixNano()
	for range 20_000 {
		at += int64(rng.ExpFloat64() * float64(ms))
		if rng.IntN(12) > len(list) {
			list = append(list, waiting{a.begin(class, at), at})
		} else if len(list) > 0 {
			i := rng.IntN(len(list))
			a.end(list[i].slot)
			list = append(list[:i], list[i+1:]...)
		}
		oldest := at
		for _, w := range list {
			oldest = min(oldest, w.began)
		}
		got, _ := a.oldest(at)
		want := float64(at-oldest) / medianOf(class)
		if got < want-0.01 || got > want+1.1 { // a slot is up to a median wide, and its start that of its first
			t.Fatalf("the oldest is %.2f medians old, want %.2f", got, want)
		}
	}
	for _, w := range list {
		a.end(w.slot)
	}
	if got, _ := a.oldest(at); got != 0 {
		t.Errorf("nothing waits, and the oldest is %.2f old", got)
	}
}

func TestAHangIsSeenBeforeItEnds(t *testing.T) {
	tab := table(t, node("a"), node("b"), node("c"))
	at := now
	for range 300 {
		l := mustPick(t, tab, Request{Now: at})
		answer(&l, &at, 10*ms, OK)
	}
	hung := mustPick(t, tab, Request{Now: at, Tried: []topology.NodeID{"b", "c"}})
	at = at.Add(time.Second)
	tab.Tick(at)
	st := tab.view.Load().nodes["a"].state
	if score := st.score.load(); score < 10 {
		t.Errorf("a request hangs for 100 medians, and the node's score is %.1f", score)
	}
	answer(&hung, &at, 0, ClientGone)
}

func TestSamplersFollowTheirWeights(t *testing.T) {
	weights := []float64{1, 2, 3, 4, 10, 20}
	l := &list{nodes: make([]*entry, len(weights))}
	s := newSampler(l, append([]float64(nil), weights...))
	rng := rand.New(rand.NewPCG(2, 2))
	const draws = 200_000
	count := make([]int, len(weights))
	for range draws {
		count[s.draw(rng.Uint64(), 0)]++
	}
	x := 0.0
	for i, n := range count {
		want := draws * weights[i] / 40
		x += (float64(n) - want) * (float64(n) - want) / want
	}
	if x > 20.52 { // 5 degrees of freedom, 0.1 %
		t.Errorf("χ² = %.2f: %v", x, count)
	}
	if newSampler(l, []float64{1, 1.1, 1, 1, 1, 1}) != nil {
		t.Error("a sampler where nodes are alike")
	}
}

// TestALatencyPickKeepsHotNodesOut fills the fastest node: from where it is hot on, a node that is as fast as others gets no more.
func TestALatencyPickKeepsHotNodesOut(t *testing.T) {
	tab := poolOf(t, 10)
	at := now
	rng := rand.New(rand.NewPCG(3, 3))
	for range 2000 { // n0 takes half of the time of the others
		l := mustPick(t, tab, Request{Now: at, Rand: rng.Uint64()})
		took := 20 * ms
		if l.Node().Name == "n0" {
			took = 10 * ms
		}
		l.Answered(at.Add(took), Outcome{})
		l.Done(at)
		at = at.Add(ms)
	}
	for range 5 {
		if _, err := tab.Bind("n0", at); err != nil {
			t.Fatal(err)
		}
	}
	tab.Tick(at)
	for range 500 {
		l := mustPick(t, tab, Request{Now: at, Rand: rng.Uint64()})
		if l.Node().Name == "n0" {
			t.Fatal("five in flight of θ 2, and picked")
		}
		l.Done(at)
	}
}

// TestAnswersRaceWithTicksAndChanges is for the race detector; the counts must be right after it.
func TestAnswersRaceWithTicksAndChanges(t *testing.T) {
	route := &topology.Route{Name: "r", Pool: "p"}
	tab := table(t, node("a"), node("b"), node("c"), node("d"), node("e"), node("f"), route)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for seed := range uint64(3) {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(seed, 8))
			for at := now; ; at = at.Add(ms) {
				select {
				case <-stop:
					return
				default:
				}
				l, err := tab.Pick(Request{Pool: "p", Route: tab.Route("r"), Now: at, Rand: rng.Uint64()})
				if err != nil {
					t.Error(err)
					return
				}
				l.Answered(at.Add(time.Duration(rng.IntN(100))*ms), Outcome{Kind: OutcomeKind(rng.IntN(3))})
				l.Done(at)
			}
		})
	}
	for i := range 300 {
		tab.Tick(now.Add(time.Duration(i) * TickInterval))
		tab.SetStanding("b", Standing(i%3))
		if i%10 == 0 {
			tab.Apply(snapshot(t, node("a"), node("b"), node("c"), node("d"), node("e"), node("f"), route), nil)
		}
	}
	close(stop)
	wg.Wait()
	for id, e := range tab.view.Load().nodes {
		if l := tab.Load(id); l.InFlight != 0 || l.Streams != 0 || e.state.waits() {
			t.Errorf("%s ends with %+v and something that waits", id, l)
		}
	}
}

func TestAnAnswerDoesNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	tab := table(t, node("a"), node("b"), &topology.Route{Name: "r", Pool: "p"})
	at := now
	if got := testing.AllocsPerRun(1000, func() {
		l, _ := tab.Pick(Request{Pool: "p", Route: tab.Route("r"), Now: at})
		answer(&l, &at, 10*ms, OK)
	}); got > 0.1 { // a node's class of routes takes memory once
		t.Errorf("%v allocations", got)
	}
}

func BenchmarkTick10000(b *testing.B) {
	tab := policied(b, topology.PolicyLatency, 10_000, equalWeights)
	rng := rand.New(rand.NewPCG(1, 1))
	for range 100_000 {
		l, _ := tab.Pick(Request{Pool: "p", Now: now, Rand: rng.Uint64()})
		l.Answered(now.Add(time.Duration(rng.ExpFloat64()*float64(10*ms))), Outcome{})
		l.Done(now)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		tab.Tick(now.Add(time.Duration(i) * TickInterval))
	}
}

func BenchmarkPickAndAnswer(b *testing.B) {
	tab := policied(b, topology.PolicyLatency, 10, equalWeights)
	rng := rand.New(rand.NewPCG(1, 1))
	at := now
	b.ReportAllocs()
	for b.Loop() {
		l, _ := tab.Pick(Request{Pool: "p", Now: at, Rand: rng.Uint64()})
		answer(&l, &at, 10*ms, OK)
	}
}

// waits reports whether a request waits.
func (st *state) waits() bool {
	medians, _ := st.ages.oldest(now.Add(time.Hour).UnixNano())
	return medians > 0
}
