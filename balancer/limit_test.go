// SPDX-License-Identifier: Apache-2.0

package balancer

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"meridian/topology"
)

// TestTwentyEdgesTogetherKeepToANodesCapacity has 20 edges whose demand changes, each of which knows of the others what they had out a
// second ago. All together may be at most a tenth above the node's capacity, and must use most of it while they want more.
func TestTwentyEdgesTogetherKeepToANodesCapacity(t *testing.T) {
	const n, capacity, life = 20, 200, 500 * time.Millisecond // a request lasts half a second
	type lease struct {
		Lease
		ends time.Time
	}
	rng := rand.New(rand.NewPCG(6, 6))
	var tabs [n]*Table
	var out [n][]lease
	var said [n][]EdgeLoad // as each has reported last
	for i := range tabs {
		tabs[i] = table(t, &topology.Node{Name: "a", Capacity: topology.Capacity{Connections: capacity}})
	}
	tell := func(i int) {
		var loads []EdgeLoad
		for j := range tabs {
			if j == i {
				continue
			}
			name := topology.EdgeID(fmt.Sprint("e", j))
			loads = append(loads, EdgeLoad{Edge: name})
			for _, l := range said[j] {
				l.Edge = name
				loads = append(loads, l)
			}
		}
		tabs[i].SetReported(loads)
	}
	for i := range tabs {
		tell(i)
	}
	most, used, counted := 0, 0, 0
	for tick := range 1200 { // two minutes
		at := now.Add(time.Duration(tick) * TickInterval)
		total := 0
		for i, tab := range tabs {
			kept := out[i][:0]
			for _, l := range out[i] {
				if l.ends.After(at) {
					kept = append(kept, l)
				} else {
					l.Done(at)
				}
			}
			out[i] = kept
			// All want more than there is; then half of the edges go silent, then one alone wants all.
			demand := map[int]int{0: 8, 1: 8 * (i % 2), 2: 60 * (1 - min(1, i))}[tick/400]
			for range demand {
				if l, err := tab.Pick(Request{Pool: "p", Now: at, Rand: rng.Uint64()}); err == nil {
					out[i] = append(out[i], lease{l, at.Add(time.Duration(rng.ExpFloat64() * float64(life)))})
				}
			}
			tab.Tick(at)
			total += len(out[i])
		}
		most = max(most, total)
		if tick%400 > 250 { // once it has settled
			used += total
			counted++
		}
		if tick%10 == 9 { // all report at once, and each learns it up to a second later
			for i := range tabs {
				said[i] = tabs[i].Reported()
			}
		}
		tell(2 * tick % n)
		tell(2*tick%n + 1)
	}
	if most > capacity*11/10 {
		t.Errorf("%d in flight of a capacity of %d", most, capacity)
	}
	if mean := used / counted; mean < capacity*8/10 {
		t.Errorf("%d in flight in the mean of a capacity of %d, though all want more", mean, capacity)
	} else {
		t.Logf("at most %d, in the mean %d of %d", most, mean, capacity)
	}
}

func TestAnEdgeAloneHasTheWholeCapacity(t *testing.T) {
	tab := table(t, &topology.Node{Name: "a", Capacity: topology.Capacity{Connections: 8, RPS: 100}})
	limit := func() int { return tab.Explain("p")[0].Limit }
	if limit() != 8 {
		t.Errorf("limit %d", limit())
	}
	tab.SetReported([]EdgeLoad{{Edge: "b"}, {Edge: "b", Node: "a", InFlight: 6, PerSecond: 60}, {Edge: "b", Node: "gone", InFlight: 6}})
	if limit() != 1 {
		t.Errorf("beside one that has six of eight the limit is %d, want one", limit())
	}
	tab.SetReported(nil)
	if limit() != 8 {
		t.Errorf("alone again the limit is %d", limit())
	}
}

func TestARateIsSharedToo(t *testing.T) {
	tab := table(t, &topology.Node{Name: "a", Capacity: topology.Capacity{RPS: 100}})
	count := func() int {
		got := 0
		for i := range 20_000 { // twenty seconds
			at := now.Add(time.Duration(i) * time.Millisecond)
			if i%100 == 0 {
				tab.Tick(at)
			}
			if l, err := tab.Pick(Request{Pool: "p", Now: at}); err == nil {
				l.Done(at)
				got++
			}
		}
		return got
	}
	if n := count(); n < 1980 || n > 2020 {
		t.Errorf("alone %d in twenty seconds, want 2000", n)
	}
	tab.SetReported([]EdgeLoad{{Edge: "b", Node: "a", PerSecond: 60}})
	if n := count(); n < 700 || n > 900 {
		t.Errorf("beside one that sends 60 a second %d in twenty seconds, want 800", n)
	}
}

func TestReportedLoadCountsAsRequestsThatAreNotSeen(t *testing.T) {
	tab := table(t, node("a"), node("b"), node("c"))
	at := now
	for range 60 {
		l := mustPick(t, tab, Request{Now: at, Rand: rand.Uint64()})
		u := 0.3
		if l.Node().Name == "b" {
			u = 0.9
		}
		l.Answered(at, Outcome{})
		l.Report(Reported{CPU: 1, Application: u})
		l.Done(at)
	}
	tab.Tick(at)
	count := map[topology.NodeID]int{}
	for range 4 {
		l := mustPick(t, tab, Request{Now: at, Rand: rand.Uint64()})
		count[l.Node().Name]++
	}
	if count["b"] > 1 || count["a"] == 0 || count["c"] == 0 {
		t.Errorf("with b three times as loaded: %v", count)
	}
	if e := tab.view.Load().nodes["b"].state.excess.load(); e <= 0 {
		t.Errorf("excess %v", e)
	}
	tab.ticks(at.Add(11*time.Second), TickInterval)
	if e := tab.view.Load().nodes["b"].state.excess.load(); e != 0 {
		t.Errorf("eleven seconds later the excess is %v", e)
	}
}

func TestANodesOwnWordCountsWhileItIsFresh(t *testing.T) {
	busy, idle := node("busy"), node("idle")
	busy.Load, idle.Load = &topology.Load{CPU: 0.9}, &topology.Load{CPU: 0.1}
	tab := NewTable()
	tab.Tick(now)
	tab.Apply(snapshot(t, busy, idle), nil)
	tab.SetStanding("busy", StandingUp)
	tab.SetStanding("idle", StandingUp)
	excess := func() float64 { return tab.view.Load().nodes["busy"].state.excess.load() }
	at := tab.ticks(now, time.Second)
	if excess() <= 0 {
		t.Error("a node that says it is busy has no excess")
	}
	tab.Apply(snapshot(t, busy, idle), nil) // the same word, read again
	tab.ticks(at, 11*time.Second)
	if excess() != 0 {
		t.Error("an old word is believed")
	}
}

func TestNonsenseIsNotBelieved(t *testing.T) {
	nan := 0.0
	nan /= nan
	for r, want := range map[Reported]float64{
		{}: 0, {CPU: 0.5}: 0.5, {Named: 0.7, CPU: 0.5}: 0.7, {Application: 0.2, Named: 0.7}: 0.2, {CPU: 1e300}: 10, {CPU: -1}: 0, {CPU: nan}: 0,
	} {
		if got := r.utilization(); got != want {
			t.Errorf("%+v: %v, want %v", r, got, want)
		}
	}
}
