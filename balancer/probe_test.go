// SPDX-License-Identifier: Apache-2.0

package balancer

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"meridian/topology"
)

// TestANodeThatIsBackGetsOneRequestUntilOneHasSucceeded holds every policy to it, whatever took the node out.
func TestANodeThatIsBackGetsOneRequestUntilOneHasSucceeded(t *testing.T) {
	for _, p := range allPolicies {
		for _, was := range []Standing{StandingRefused, StandingEjected, StandingDown} {
			tab := policied(t, p, 6, equalWeights)
			rng := rand.New(rand.NewPCG(1, 1))
			pick := func() Lease { return mustPick(t, tab, Request{Rand: rng.Uint64(), Key: rng.Uint64(), HasKey: true}) }
			tab.SetStanding("n2", was)
			tab.SetStanding("n2", StandingUp)
			e := tab.view.Load().nodes["n2"]
			e.state.endSlowStart() // which would hold it, too
			e.state.share.store(e.share)
			var probe Lease
			held := 0
			for range 600 {
				switch l := pick(); {
				case l.Node().Name != "n2":
					l.Done(now)
				case held > 0:
					t.Fatalf("%s after %s: a second request while the first is out", p, was)
				default:
					probe = l
					held++
				}
			}
			if held == 0 || !probeOf(probe) {
				t.Fatalf("%s after %s: no probe in 600 picks: %d", p, was, held)
			}
			probe.Answered(now, Outcome{Kind: Failed})
			probe.Done(now)
			if got := concurrent(tab, rng); got > 1 { // none where it is held for its failure
				t.Errorf("%s after %s: %d at once after a probe that failed", p, was, got)
			}
			if probe = mustPick(t, tab, Request{Tried: []topology.NodeID{"n0", "n1", "n3", "n4", "n5"}}); !probeOf(probe) {
				t.Fatalf("%s after %s: the failed probe's place is not free", p, was)
			}
			probe.Answered(now, Outcome{Kind: OK})
			probe.Done(now)
			e.state.rate(1) // what the failure has taught
			if got := concurrent(tab, rng); got < 2 {
				t.Errorf("%s after %s: %d at once after a probe that succeeded", p, was, got)
			}
		}
	}
}

func probeOf(l Lease) bool { return (&l).Why().Probe }

// concurrent returns how many requests n2 has when 300 are out, and gives them back.
func concurrent(tab *Table, rng *rand.Rand) int {
	var out []Lease
	for range 300 {
		if l, err := tab.Pick(Request{Pool: "p", Now: now, Rand: rng.Uint64(), Key: rng.Uint64(), HasKey: true}); err == nil {
			out = append(out, l)
		}
	}
	n := tab.Load("n2").InFlight
	for i := range out {
		out[i].Done(now)
	}
	return n
}

func TestWhatWasSentBeforeTheNodeWentSaysNothingOfItNow(t *testing.T) {
	tab := table(t, node("a"), node("b"))
	tab.SetStanding("a", StandingEjected)
	tab.SetStanding("a", StandingUp)
	old := mustPick(t, tab, Request{Tried: []topology.NodeID{"b"}})
	tab.SetStanding("a", StandingEjected)
	tab.SetStanding("a", StandingUp)
	probe := mustPick(t, tab, Request{Tried: []topology.NodeID{"b"}})
	if !probeOf(probe) {
		t.Fatal("the place of the probe before was not given up")
	}
	old.Answered(now, Outcome{Kind: OK})
	old.Done(now)
	if c := tab.Explain("p")[0]; !c.HalfOpen || c.Eligible || c.Reason != "half-open: its one request is not answered yet" {
		t.Errorf("%+v", c)
	}
	probe.Done(now) // the client has left
	if c := tab.Explain("p")[0]; !c.HalfOpen || !c.Eligible {
		t.Errorf("%+v", c)
	}
}

// TestWhereNobodyElseCanTakeThemAHalfOpenNodeGetsTheRest has no request fail for want of a probe's answer.
func TestWhereNobodyElseCanTakeThemAHalfOpenNodeGetsTheRest(t *testing.T) {
	tab := table(t, node("a"), node("b"))
	tab.SetStanding("b", StandingRefused)
	tab.SetStanding("a", StandingEjected)
	tab.SetStanding("a", StandingUp)
	first := mustPick(t, tab, Request{})
	if got := first.Why(); got.String() != "latency region 1/1 probe slow_start" {
		t.Errorf("the first: %s", got.String())
	}
	second := mustPick(t, tab, Request{})
	if got := second.Why(); second.Node().Name != "a" || got.by&byCrowd == 0 {
		t.Errorf("the second went to %s: %s", second.Node().Name, got.String())
	}
	second.Answered(now, Outcome{Kind: OK})
	if tab.Explain("p")[0].HalfOpen {
		t.Error("a success beside the probe counts for nothing")
	}
}

func TestANodeThatAnswersNoProbeIsNotHeldForGood(t *testing.T) {
	tab := table(t, node("a"), node("b"))
	at := tab.ticks(now, time.Second)
	tab.SetStanding("a", StandingDown)
	tab.SetStanding("a", StandingUp)
	mustPick(t, tab, Request{Now: at, Tried: []topology.NodeID{"b"}})
	at = tab.ticks(at, longestProbe/2)
	if !tab.Explain("p")[0].HalfOpen {
		t.Error("given up too soon")
	}
	tab.ticks(at, longestProbe/2+time.Second)
	if tab.Explain("p")[0].HalfOpen {
		t.Error("still held")
	}
}

// TestOneOfManyAtOnceIsTheProbe races picks for the one place.
func TestOneOfManyAtOnceIsTheProbe(t *testing.T) {
	tab := table(t, node("a"), node("b"))
	for range 200 {
		tab.SetStanding("a", StandingRefused)
		tab.SetStanding("a", StandingUp)
		tab.view.Load().nodes["a"].state.endSlowStart()
		var got atomic.Int32
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				l, err := tab.Pick(Request{Pool: "p", Now: now, Rand: uint64(i)})
				if err == nil && l.Node().Name == "a" {
					got.Add(1)
				}
			})
		}
		wg.Wait()
		if got.Load() > 1 {
			t.Fatalf("%d at once", got.Load())
		}
	}
}

func TestTheNumbersOfHalfOpenTimesGoRound(t *testing.T) {
	var h halfOpen
	last := uint32(probeMask - 3)
	for range 5 {
		h.open(&last)
		ticket, ok := h.take()
		if !ok || ticket == 0 || ticket&probeOut == 0 || !h.isOpen() || h.admits() {
			t.Fatalf("ticket %d, %v; word %d", ticket, ok, h.word.Load())
		}
		h.succeeded(ticket)
		if h.isOpen() {
			t.Fatal("open after a success")
		}
	}
}
