// SPDX-License-Identifier: Apache-2.0

package balancer

import (
	"slices"
	"testing"
	"time"

	"meridian/topology"
)

func TestANodeOfWhichNothingComesBackIsToldNowAndThen(t *testing.T) {
	tab := NewTable()
	tab.Apply(snapshot(t, node("a"), node("b"), &topology.Route{Name: "r", Pool: "p"}), nil)
	for _, id := range []topology.NodeID{"a", "b"} {
		tab.SetStanding(id, StandingUp)
	}
	now := time.Unix(1_000_000, 0)
	pick := func(not ...topology.NodeID) Lease {
		l, err := tab.Pick(Request{Pool: "p", Route: tab.Route("r"), Tried: not, Now: now})
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	for range 200 {
		for _, other := range []topology.NodeID{"a", "b"} {
			l := pick(other)
			now = now.Add(5 * time.Millisecond)
			l.Answered(now, Outcome{Kind: OK})
			l.Done(now)
		}
	}
	told := func(after time.Duration) []topology.NodeID {
		for range after / TickInterval {
			now = now.Add(TickInterval)
			l := pick("a") // b goes on answering
			l.Answered(now.Add(5*time.Millisecond), Outcome{Kind: OK})
			l.Done(now.Add(5 * time.Millisecond))
			tab.Tick(now)
		}
		return tab.Stalled()
	}
	if got := told(time.Second); len(got) > 0 {
		t.Fatalf("%v while all is well", got)
	}
	stuck := pick("b")
	if got := told(500 * time.Millisecond); !slices.Equal(got, []topology.NodeID{"a"}) {
		t.Errorf("got %v, want a", got)
	}
	if got := told(400 * time.Millisecond); len(got) > 0 {
		t.Errorf("told %v again at once", got)
	}
	if got := told(time.Second); !slices.Equal(got, []topology.NodeID{"a"}) {
		t.Errorf("after a while: got %v, want a again", got)
	}
	stuck.Answered(now, Outcome{Kind: OK})
	stuck.Done(now)
	if got := told(10 * time.Second); len(got) > 0 {
		t.Errorf("%v after the answer has come", got)
	}
}
