// SPDX-License-Identifier: Apache-2.0

package balancer

import (
	"math"
	"testing"
	"time"

	"meridian/topology"
)

// TestANodeInSlowStartEarnsItsShare has a new node answer as fast as its tier does, and another one ten times slower: the first has all of
// its share after four doublings, the other what the clock gives it.
func TestANodeInSlowStartEarnsItsShare(t *testing.T) {
	for factor, want := range map[time.Duration]float64{1: 1, 10: leastShare} {
		tab := table(t, node("a"), node("b"))
		at := tab.ask(t, now, "a", 50, 10*ms)
		at = tab.ask(t, at, "b", 50, 10*ms)
		tab.Apply(snapshot(t, node("a"), node("b"), node("new")), nil)
		tab.SetStanding("new", StandingUp)
		began := tab.ticks(at, TickInterval)
		at = began
		for range 5 {
			at = tab.ask(t, at, "new", provenAnswers, factor*10*ms)
			at = tab.ticks(at, TickInterval)
		}
		want := max(want, at.Sub(began).Seconds()/30)
		if got := tab.view.Load().nodes["new"].state.share.load(); math.Abs(got-want) > 0.02 {
			t.Errorf("%d times slower, after 100 answers it has %.2f of its share, want %.2f", factor, got, want)
		}
	}
}

// ask has a node answer n requests one after the other.
func (t *Table) ask(tb testing.TB, at time.Time, id topology.NodeID, n int, took time.Duration) time.Time {
	tb.Helper()
	for range n {
		l, err := t.Bind(id, at)
		if err != nil {
			tb.Fatal(err)
		}
		answer(&l, &at, took, OK)
	}
	return at
}

// TestATierThatIsMostlyNewIsNotToldApartByItsCaches adds more nodes than there are: for the pool's slow start, four times slower counts by a
// quarter, and 16 times slower by what is beyond. Where nothing has answered before, as at an edge's start, speeds count as they are.
func TestATierThatIsMostlyNewIsNotToldApartByItsCaches(t *testing.T) {
	for _, known := range []bool{true, false} {
		tab := table(t, node("a"), node("b"))
		at := tab.ticks(now, time.Second)
		if known {
			at = tab.ask(t, at, "a", 50, 10*ms)
		}
		all := []topology.Resource{node("a"), node("b")}
		for i := range 5 {
			all = append(all, node(string(nodeName(i))))
		}
		tab.Apply(snapshot(t, all...), nil)
		for i := range 5 {
			tab.SetStanding(nodeName(i), StandingUp)
		}
		at = tab.ticks(at, TickInterval)
		tier := tab.view.Load().nodes["a"].group.tier
		for _, after := range []time.Duration{0, 29 * time.Second} {
			at = tab.ticks(at, after)
			for v, tempered := range map[float64]float64{1: 1, 4: math.Sqrt2, 0.25: math.Sqrt2 / 2, 16: 4 * math.Sqrt2} {
				if !known {
					tempered = v
				}
				if got := tier.tempered(3*v, 3) / 3; math.Abs(got-tempered) > 0.01*tempered {
					t.Errorf("known before %v, after %s: %v times slower counts as %.2f, want %.2f", known, after, v, got, tempered)
				}
			}
		}
		tab.ticks(at, 2*time.Second)
		if got := tier.tempered(4, 1); got != 4 {
			t.Errorf("known before %v: after the slow start four times slower counts as %.2f", known, got)
		}
	}
}

// TestANodesQueueIsNotTakenForItsSpeed has two nodes whose times are in proportion to what is in flight there, one with four times as much:
// half of that, by logarithms, is told apart. A burst behind one slow request is one event.
func TestANodesQueueIsNotTakenForItsSpeed(t *testing.T) {
	tab := table(t, node("a"), node("b"), node("c"))
	for id, n := range map[topology.NodeID]int{"a": 3, "b": 3, "c": 15} {
		for range n {
			if _, err := tab.Bind(id, now); err != nil {
				t.Fatal(err)
			}
		}
	}
	e := tab.view.Load().nodes
	for range 100 {
		tab.Tick(now) // the tier's median is smoothed
	}
	for id, want := range map[topology.NodeID]float64{"a": 1, "c": 0.5} {
		inFlight, _ := e[id].state.out()
		if got := e[id].explained(uint64(inFlight)); math.Abs(got-want) > 0.01 {
			t.Errorf("of %s's ratio %.3f is left, want %.2f", id, got, want)
		}
	}
}

func TestABurstBehindASlowRequestIsOneEvent(t *testing.T) {
	values := map[string]float64{}
	for name, apart := range map[string]time.Duration{"burst": ms, "apart": 2 * time.Second} {
		var s speed
		at := now.UnixNano()
		for range 100 {
			at += int64(100 * ms)
			s.learn(at, 1, false, 1)
		}
		at += int64(100 * ms)
		for range 20 {
			s.learn(at, 100, false, 1)
			at += int64(apart)
		}
		values[name] = s.value(at, 1)
	}
	if values["burst"] > 3 || values["apart"] < 30 {
		t.Errorf("20 answers of a hundred times the time within 20 ms give %.2f, over 40 s %.1f; want below 3, and above 30", values["burst"], values["apart"])
	}
}
