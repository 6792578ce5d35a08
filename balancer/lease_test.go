// SPDX-License-Identifier: Apache-2.0

package balancer

import (
	"errors"
	"testing"
	"time"

	"meridian/topology"

	"github.com/google/go-cmp/cmp"
)

func TestABoundSessionMayUseADrainingNodeUntilItIsCut(t *testing.T) {
	tab := table(t, node("a"), drain("a"))
	stream, err := tab.Bind("a", now)
	if err != nil {
		t.Fatal(err)
	}
	stream.Stream()
	request, err := tab.Bind("a", now)
	if err != nil {
		t.Fatal(err)
	}
	if isClosed(stream.Cut()) {
		t.Error("cut before the deadline")
	}
	if inFlight, streams := tab.Cut("a"); inFlight != 1 || streams != 1 {
		t.Errorf("cut %d in flight and %d streams; want 1 and 1", inFlight, streams)
	}
	if !isClosed(stream.Cut()) || !isClosed(request.Cut()) {
		t.Error("a lease has not learned of the cut")
	}
	if _, err := tab.Bind("a", now); !errors.Is(err, ErrCut) {
		t.Errorf("bind after the cut: %v", err)
	}
	if inFlight, streams := tab.Cut("a"); inFlight != 0 || streams != 0 {
		t.Errorf("the second cut counts %d and %d", inFlight, streams)
	}
	if l := tab.Load("a"); !l.Cut || !l.Draining {
		t.Errorf("load %+v", l)
	}
	tab.Apply(snapshot(t, node("a")), nil)
	again, err := tab.Bind("a", now)
	if err != nil {
		t.Fatal("after the drain:", err)
	}
	if isClosed(again.Cut()) || !isClosed(stream.Cut()) {
		t.Error("an old cut is a lease's own")
	}
	again.Done(now)
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func TestANodeThatIsNotDrainingIsNotCut(t *testing.T) {
	tab := table(t, node("a"))
	tab.Cut("a")
	tab.Cut("nobody")
	l, err := tab.Bind("a", now)
	if err != nil || isClosed(l.Cut()) {
		t.Error(err)
	}
}

func TestANewDeadlineIsANewDrain(t *testing.T) {
	tab := table(t, node("a"), drain("a"))
	tab.Cut("a")
	tab.Apply(snapshot(t, node("a"), drain("a")), nil) // the same drain, read again
	if _, err := tab.Bind("a", now); !errors.Is(err, ErrCut) {
		t.Errorf("the same drain: %v", err)
	}
	longer := drain("a")
	longer.Deadline = longer.Deadline.Add(time.Hour)
	tab.Apply(snapshot(t, node("a"), longer), nil)
	if _, err := tab.Bind("a", now); err != nil {
		t.Errorf("a later deadline: %v", err)
	}
}

func TestBindSaysWhyNot(t *testing.T) {
	full := &topology.Node{Name: "full", Capacity: topology.Capacity{Connections: 1}}
	tab := table(t, node("down"), full, node("unchecked"))
	tab.SetStanding("down", StandingDown)
	tab.SetStanding("unchecked", StandingUnknown)
	if _, err := tab.Bind("full", now); err != nil {
		t.Fatal(err)
	}
	for id, want := range map[topology.NodeID]error{"down": ErrDown, "full": ErrFull, "nobody": ErrGone, "unchecked": nil} {
		if _, err := tab.Bind(id, now); !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", id, err, want)
		}
	}
	if n := tab.Load("full").InFlight; n != 1 {
		t.Errorf("a refusal is counted: %d in flight", n)
	}
}

func TestAStreamIsNoRequestInFlight(t *testing.T) {
	tab := table(t, &topology.Node{Name: "a", Capacity: topology.Capacity{Connections: 1}})
	l := mustPick(t, tab, Request{})
	l.Stream()
	l.Stream()
	if diff := cmp.Diff(Load{Streams: 1, Standing: StandingUp}, tab.Load("a")); diff != "" {
		t.Error(diff)
	}
	other := mustPick(t, tab, Request{})
	other.Done(now)
	if other.Node() != nil {
		t.Error("a node after Done")
	}
	l.Done(now)
	if n := tab.Load("a"); n.Streams != 0 || n.InFlight != 0 {
		t.Errorf("%+v", n)
	}
}

func TestTheZeroLeaseIsOnNothing(t *testing.T) {
	var l Lease
	l.Stream()
	l.Done(now)
	if l.Node() != nil || l.Cut() != nil {
		t.Error("the zero lease has something")
	}
}

func TestDrainingListsWhatAnEdgeAcknowledges(t *testing.T) {
	leaving := node("leaving")
	leaving.Leaving = true
	tab := table(t, node("a"), node("b"), leaving)
	out := mustPick(t, tab, Request{Tried: []topology.NodeID{"b"}})
	if out.Node().Name != "a" {
		t.Fatalf("picked %s", out.Node().Name)
	}
	s := snapshot(t, node("b"), leaving, drain("a"), drain("absent"))
	s.Revision = 7
	tab.Apply(s, nil)
	later := snapshot(t, node("b"), leaving, drain("a"), drain("absent"))
	later.Revision = 8
	tab.Apply(later, nil)
	want := []Drained{
		{Drain: later.DrainOf("a"), Nodes: []topology.NodeID{"a"}, Revision: 7, InFlight: 1},
		{Drain: later.DrainOf("absent"), Nodes: []topology.NodeID{"absent"}, Revision: 7},
		{Nodes: []topology.NodeID{"leaving"}, Revision: 1},
	}
	if diff := cmp.Diff(want, tab.Draining()); diff != "" {
		t.Error(diff)
	}
}
