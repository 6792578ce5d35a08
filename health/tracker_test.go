// SPDX-License-Identifier: Apache-2.0

package health_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"meridian/health"
	"meridian/topology"

	"github.com/google/go-cmp/cmp"
)

func TestZeroSettingsAreTheDefaultsOfThePool(t *testing.T) {
	want := health.Settings{Rise: 2, Fall: 2, Interval: time.Second, FastInterval: 250 * time.Millisecond, ConsecutiveErrors: 5, Ban: 10 * time.Second}
	if diff := cmp.Diff(want, health.SettingsOf(&topology.Pool{})); diff != "" {
		t.Error(diff)
	}
}

func TestUnknownTargetsChangeNothing(t *testing.T) {
	tr := health.NewTracker(func(id string, v health.Verdict) { t.Errorf("%s told as %s", id, v.State) })
	if tr.Observe("x", health.ConnectFailed, "", began) {
		t.Error("a check was asked for")
	}
	if next := tr.Probed("x", false, "", 0, began); next != time.Second {
		t.Errorf("next check after %s", next)
	}
	if diff := cmp.Diff(health.Verdict{}, tr.Verdict("x")); diff != "" {
		t.Error(diff)
	}
	if n := len(tr.All()); n != 0 {
		t.Errorf("%d verdicts", n)
	}
}

func TestOnlyStatesThatGetRequestsCanBePicked(t *testing.T) {
	for s, want := range map[health.State]bool{
		health.Unknown: false, health.Up: true, health.Suspect: true, health.Down: false, health.Ejected: false, health.HalfOpen: true,
	} {
		if got := (health.Verdict{State: s}).CanPick(); got != want {
			t.Errorf("%s: %v", s, got)
		}
	}
}

func TestTheListenerMayAskTheTracker(t *testing.T) {
	var tr *health.Tracker
	told := 0
	tr = health.NewTracker(func(id string, v health.Verdict) {
		told++
		if got := tr.Verdict(id); got.State != v.State {
			t.Errorf("told %s, the verdict is %s", v.State, got.State)
		}
		tr.All()
		tr.Observe(id, health.Success, "", began)
	})
	tr.Apply(map[string]health.Settings{"a": {}}, began)
	tr.Probed("a", true, "", 0, began)
	tr.Probed("a", false, "status 503", 0, began)
	if told != 2 {
		t.Errorf("told %d changes", told)
	}
}

// TestChangesOfOneTargetAreToldInOrder has many callers change one target; the last that is told must be the verdict.
func TestChangesOfOneTargetAreToldInOrder(t *testing.T) {
	var last health.State // not guarded: the race detector sees two tellers at once
	tr := health.NewTracker(func(_ string, v health.Verdict) {
		if v.State == last {
			t.Errorf("%s told twice", last)
		}
		last = v.State
	})
	tr.Apply(map[string]health.Settings{"a": {Rise: 1, Fall: 1}}, began)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for k := range 500 {
				tr.Probed("a", (i+k)%2 == 0, "x", 0, began)
			}
		})
	}
	wg.Wait()
	if v := tr.Verdict("a"); v.State != last || v.Checks != 4000 {
		t.Errorf("told %s last; the verdict is %s after %d checks", last, v.State, v.Checks)
	}
}

// TestTheLastOfAGroupStaysWhenAllFailAtOnce has every node of a group fail at the same moment, many times.
func TestTheLastOfAGroupStaysWhenAllFailAtOnce(t *testing.T) {
	for _, c := range []struct {
		outcome health.Outcome
		n, left int
	}{{health.GatewayError, 2, 1}, {health.GatewayError, 4, 3}, {health.GatewayError, 30, 27}, {health.ConnectFailed, 4, 1}} {
		for round := range 100 {
			if left := failingAtOnce(c.outcome, c.n); left != c.left {
				t.Fatalf("round %d: %d of %d can be picked; want %d", round, left, c.n, c.left)
			}
		}
	}
}

func failingAtOnce(o health.Outcome, n int) (left int) {
	tr := health.NewTracker(nil)
	targets := map[string]health.Settings{}
	for i := range n {
		targets[fmt.Sprint(i)] = health.Settings{Group: "g", ConsecutiveErrors: 1}
	}
	tr.Apply(targets, began)
	for id := range targets {
		tr.Probed(id, true, "", 0, began)
	}
	var wg sync.WaitGroup
	for id := range targets {
		wg.Go(func() { tr.Observe(id, o, "status 502", began) })
	}
	wg.Wait()
	for _, v := range tr.All() {
		if v.CanPick() {
			left++
		}
	}
	return left
}

func TestATargetThatMovesIsCountedInItsNewGroup(t *testing.T) {
	tr := health.NewTracker(nil)
	one := health.Settings{Group: "one", ConsecutiveErrors: 1}
	two := health.Settings{Group: "two", ConsecutiveErrors: 1}
	tr.Apply(map[string]health.Settings{"a": one, "b": one, "c": one}, began)
	for _, id := range []string{"a", "b", "c"} {
		tr.Probed(id, true, "", 0, began)
	}
	tr.Apply(map[string]health.Settings{"a": one, "b": two}, began) // c is gone, so a is the last of one, b of two
	for _, id := range []string{"a", "b"} {
		tr.Observe(id, health.GatewayError, "", began)
		if v := tr.Verdict(id); v.State != health.Up {
			t.Errorf("%s is %s, though the last of its group", id, v.State)
		}
	}
	tr.Apply(map[string]health.Settings{"a": two, "b": two}, began)
	tr.Observe("a", health.GatewayError, "", began)
	if v := tr.Verdict("a"); v.State != health.Ejected {
		t.Errorf("a is %s, though b is left", v.State)
	}
}

func TestAForgottenTargetIsNotToldOf(t *testing.T) {
	told := 0
	tr := health.NewTracker(func(string, health.Verdict) { told++ })
	tr.Apply(map[string]health.Settings{"a": {}}, began)
	tr.Apply(nil, began)
	tr.Probed("a", true, "", 0, began)
	if told != 0 {
		t.Errorf("told %d times", told)
	}
}

func TestASuccessDoesNotAllocate(t *testing.T) {
	tr := steady()
	if n := testing.AllocsPerRun(1000, func() { tr.Observe("a", health.Success, "", began) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func steady() *health.Tracker {
	tr := health.NewTracker(nil)
	tr.Apply(map[string]health.Settings{"a": {}, "b": {}}, began)
	tr.Probed("a", true, "", 0, began)
	tr.Probed("b", true, "", 0, began)
	return tr
}

func BenchmarkObserveSuccess(b *testing.B) {
	tr := steady()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			tr.Observe("a", health.Success, "", began)
		}
	})
}

func BenchmarkApply10000(b *testing.B) {
	targets := map[string]health.Settings{}
	for i := range 10_000 {
		targets[fmt.Sprint("node-", i)] = health.Settings{Group: fmt.Sprint("g", i%80)}
	}
	tr := health.NewTracker(nil)
	b.ReportAllocs()
	for b.Loop() {
		tr.Apply(targets, began)
	}
}
