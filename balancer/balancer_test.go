// SPDX-License-Identifier: Apache-2.0

package balancer

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"meridian/topology"

	"github.com/google/go-cmp/cmp"
)

var now = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// snapshot builds a topology of one pool "p" in the regions of its nodes and drains.
func snapshot(t testing.TB, resources ...topology.Resource) *topology.Snapshot {
	t.Helper()
	set := topology.Set{}
	set.Put(&topology.Pool{Name: "p"})
	for i, r := range resources {
		if n, ok := r.(*topology.Node); ok {
			if n.Pool == "" {
				n.Pool = "p"
			}
			if n.Region == "" {
				n.Region = "eu"
			}
			n.Address = fmt.Sprintf("10.%d.%d.%d:80", i>>16&255, i>>8&255, i&255)
			set.Put(&topology.Region{Name: n.Region})
		}
		set.Put(r)
	}
	s, problems := topology.Build(1, set)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return s
}

func node(name string) *topology.Node { return &topology.Node{Name: topology.NodeID(name)} }

func drain(name string) *topology.Drain {
	return &topology.Drain{Name: "node/" + name, Author: "ann", Reason: "new kernel", Created: now, Deadline: now.Add(time.Minute)}
}

// table returns a table with these resources applied, all nodes up, in the order own, near, far.
func table(t testing.TB, resources ...topology.Resource) *Table {
	t.Helper()
	tab := NewTable()
	tab.Apply(snapshot(t, resources...), []topology.RegionID{"eu", "us", "ap"})
	for _, r := range resources {
		if n, ok := r.(*topology.Node); ok {
			tab.SetStanding(n.Name, StandingUp)
		}
	}
	return tab
}

func mustPick(t testing.TB, tab *Table, r Request) Lease {
	t.Helper()
	if r.Pool == "" {
		r.Pool = "p"
	}
	if r.Now.IsZero() {
		r.Now = now
	}
	l, err := tab.Pick(r)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestStateSurvivesApply(t *testing.T) {
	tab := table(t, node("a"))
	one, two := mustPick(t, tab, Request{}), mustPick(t, tab, Request{})
	two.Stream()
	tab.Apply(snapshot(t, node("a"), node("b")), nil)
	if diff := cmp.Diff(Load{InFlight: 1, Streams: 1, Standing: StandingUp}, tab.Load("a")); diff != "" {
		t.Error(diff)
	}
	one.Done(now)
	two.Done(now)
	one.Done(now) // idempotent
	two.Done(now)
	if diff := cmp.Diff(Load{Standing: StandingUp}, tab.Load("a")); diff != "" {
		t.Error(diff)
	}
}

func TestANodeThatComesBackKeepsItsCounts(t *testing.T) {
	tab := table(t, node("a"), node("b"))
	l := mustPick(t, tab, Request{Tried: []topology.NodeID{"b"}})
	tab.Apply(snapshot(t, node("b")), nil)
	if got := tab.Load("a").InFlight; got != 1 {
		t.Errorf("gone: %d in flight", got)
	}
	tab.Apply(snapshot(t, node("a"), node("b")), nil)
	if diff := cmp.Diff(Load{InFlight: 1}, tab.Load("a")); diff != "" {
		t.Error("back: it is to be checked anew, with its counts kept:", diff)
	}
	l.Done(now)
	if got := tab.Load("a").InFlight; got != 0 {
		t.Errorf("done: %d in flight", got)
	}
}

func TestNodesThatAreGoneAndIdleAreForgotten(t *testing.T) {
	tab := table(t, node("busy"))
	l := mustPick(t, tab, Request{})
	for i := range 1000 {
		tab.Apply(snapshot(t, node(fmt.Sprint("n", i))), nil)
	}
	if n := len(tab.states); n != 2 {
		t.Errorf("%d states; want that of the node there is and of the busy one", n)
	}
	l.Done(now)
	tab.Apply(snapshot(t, node("n")), nil)
	if n := len(tab.states); n != 1 {
		t.Errorf("%d states; want 1", n)
	}
}

func TestAStandingMayComeBeforeItsNode(t *testing.T) {
	tab := NewTable()
	tab.SetStanding("a", StandingDown)
	tab.Apply(snapshot(t, node("a")), nil)
	if got := tab.Load("a").Standing; got != StandingDown {
		t.Errorf("standing %s", got)
	}
}

func TestUpCountsWhatCouldBePicked(t *testing.T) {
	tab := table(t, node("a"), node("b"), node("c"), node("d"), drain("a"), &topology.Node{Name: "x", Region: "us"})
	tab.SetStanding("b", StandingDown)
	tab.SetStanding("c", StandingUnknown)
	for _, c := range []struct {
		region    topology.RegionID
		up, total int
	}{{"eu", 2, 4}, {"us", 1, 1}, {"ap", 0, 0}} {
		if up, total := tab.Up("p", c.region); up != c.up || total != c.total {
			t.Errorf("%s: %d of %d; want %d of %d", c.region, up, total, c.up, c.total)
		}
	}
	if up, total := tab.Up("none", "eu"); up != 0 || total != 0 {
		t.Errorf("unknown pool: %d of %d", up, total)
	}
}

// TestAnAcknowledgedZeroIsFinal is the promise that a drain rests on: once Apply has returned with the drain and the count
// of the node is zero, no pick hands out the node, however it races with Apply. Run it under the race detector.
func TestAnAcknowledgedZeroIsFinal(t *testing.T) {
	with, without := snapshot(t, node("a"), node("b"), drain("a")), snapshot(t, node("a"), node("b"))
	tab := table(t, node("a"), node("b"))
	var zero atomic.Bool   // the drain was acknowledged
	var round atomic.Int64 // raised before each drain, so that a lease of an earlier round isn't taken for a late one
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for seed := range uint64(4) {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(seed, 1))
			for {
				select {
				case <-stop:
					return
				default:
				}
				before, acknowledged := round.Load(), zero.Load()
				l, err := tab.Pick(Request{Pool: "p", Now: now, Rand: rng.Uint64()})
				if err != nil {
					t.Error(err)
					return
				}
				if l.Node().Name == "a" {
					// The lease is held here, so if zero was read before or is read now, it was read wrongly.
					if (acknowledged || zero.Load()) && round.Load() == before {
						t.Error("a lease on a node whose zero was acknowledged")
					}
					l.Stream()
				}
				l.Done(now)
			}
		})
	}
	for range 300 {
		tab.Apply(with, nil)
		deadline := time.Now().Add(10 * time.Second)
		for l := tab.Load("a"); l.InFlight+l.Streams > 0; l = tab.Load("a") {
			if time.Now().After(deadline) {
				t.Fatal("the node does not become idle")
			}
		}
		zero.Store(true)
		for range 50 {
			if l := tab.Load("a"); l.Streams > 0 {
				t.Error("a stream after zero")
			}
		}
		round.Add(1)
		zero.Store(false)
		tab.Apply(without, nil)
	}
	close(stop)
	wg.Wait()
	for _, id := range []topology.NodeID{"a", "b"} {
		if l := tab.Load(id); l.InFlight != 0 || l.Streams != 0 {
			t.Errorf("%s ends with %+v", id, l)
		}
	}
}

// TestAPickThatBeganBeforeADrainIsRefused has the drain come between a pick's choice and its lease.
func TestAPickThatBeganBeforeADrainIsRefused(t *testing.T) {
	tab := table(t, node("a"))
	e := tab.view.Load().nodes["a"]
	tab.Apply(snapshot(t, node("a"), drain("a")), nil)
	if _, err := e.acquire(now.UnixNano(), nil, 0, demandHard); err == nil {
		t.Error("a lease on a drained node")
	}
	tab.Apply(snapshot(t), nil)
	if _, err := e.acquire(now.UnixNano(), nil, flagDraining, demandHard); err != ErrGone {
		t.Errorf("a node that is gone: %v", err)
	}
	if l := tab.Load("a"); l.InFlight != 0 {
		t.Errorf("%d in flight", l.InFlight)
	}
}

// TestALeaseAndADrainCannotMissEachOther lets one lease and one drain start at the same moment, again and again: either
// the lease is refused or the drain sees it.
func TestALeaseAndADrainCannotMissEachOther(t *testing.T) {
	tab := table(t, node("a"))
	e := tab.view.Load().nodes["a"]
	var turn, leased, idle atomic.Int64 // turn: 2i-1 begins round i, 2i ends it; the others: the last round in which that was done
	rounds := int64(10_000)
	if raceEnabled || runtime.GOMAXPROCS(0) == 1 {
		rounds = 2_000 // each takes many times as long
	}
	var got bool
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := int64(1); i <= rounds; i++ {
			await(&turn, 2*i-1)
			l, err := e.acquire(now.UnixNano(), nil, 0, demandHard)
			got = err == nil
			leased.Store(i)
			await(&turn, 2*i)
			l.Done(now)
			idle.Store(i)
		}
	})
	missed := 0
	for i := int64(1); i <= rounds; i++ {
		e.state.flags.Store(0)
		turn.Store(2*i - 1)
		for range i % 64 { // shifts the two sides against each other
			turn.Load()
		}
		e.state.flags.Store(flagDraining)
		seen := e.state.load().InFlight
		await(&leased, i)
		if got && seen == 0 {
			missed++
		}
		turn.Store(2 * i)
		await(&idle, i)
	}
	wg.Wait()
	if missed > 0 {
		t.Errorf("%d of %d rounds have a lease after a zero", missed, rounds)
	}
}

// await spins until the counter is n: a channel would put a microsecond between the two sides.
func await(counter *atomic.Int64, n int64) {
	for spins := 1; counter.Load() < n; spins++ {
		if spins%1000 == 0 {
			runtime.Gosched()
		}
	}
}

// TestCountsBalanceUnderEverything has picks, binds, drains, cuts and standings race; all counts must end at zero.
func TestCountsBalanceUnderEverything(t *testing.T) {
	snaps := []*topology.Snapshot{
		snapshot(t, node("a"), node("b"), node("c")),
		snapshot(t, node("a"), node("b"), drain("a")),
		snapshot(t, node("b"), node("c"), drain("c")),
	}
	tab := table(t, node("a"), node("b"), node("c"))
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for seed := range uint64(3) {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(seed, 2))
			for {
				select {
				case <-stop:
					return
				default:
				}
				l, err := tab.Pick(Request{Pool: "p", Now: now, Rand: rng.Uint64()})
				if err == nil {
					b, berr := tab.Bind(l.Node().Name, now)
					if berr == nil {
						b.Stream()
					}
					l.Done(now)
					b.Done(now)
				}
			}
		})
	}
	for i := range 500 {
		tab.Apply(snaps[i%len(snaps)], nil)
		tab.SetStanding("b", Standing(i%3))
		tab.Cut("a")
		tab.Explain("p")
		tab.Draining()
	}
	close(stop)
	wg.Wait()
	tab.Apply(snaps[0], nil)
	for _, id := range []topology.NodeID{"a", "b", "c"} {
		if l := tab.Load(id); l.InFlight != 0 || l.Streams != 0 {
			t.Errorf("%s ends with %+v", id, l)
		}
	}
}

func TestAnEmptyTableHasNoNode(t *testing.T) {
	tab := NewTable()
	tab.Apply(nil, nil)
	if _, err := tab.Pick(Request{Pool: "p"}); err == nil || err.Error() != "pool p has no node" {
		t.Error(err)
	}
	if _, err := tab.Bind("a", now); err != ErrGone {
		t.Error(err)
	}
	if got := tab.Explain("p"); got != nil {
		t.Error(got)
	}
}
