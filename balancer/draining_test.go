// SPDX-License-Identifier: Apache-2.0

package balancer

import (
	"strings"
	"testing"
	"time"

	"meridian/topology"

	"github.com/google/go-cmp/cmp"
)

func drainOf(name string, deadline time.Duration) *topology.Drain {
	d := &topology.Drain{Name: name, Created: now}
	if deadline > 0 {
		d.Deadline = now.Add(deadline)
	}
	return d
}

func TestADrainOfAZoneCoversItsNodesInItsRegionOnly(t *testing.T) {
	a1, a2, b, far := zoned("a1", "a", 0), zoned("a2", "a", 0), zoned("b", "b", 0), in("us", "far")
	far.Zone = "a"
	tab := zonedTable(t, a1, a2, b, far)
	first, second := mustPick(t, tab, Request{Tried: []topology.NodeID{"a2"}}), mustPick(t, tab, Request{Tried: []topology.NodeID{"a1"}})
	second.Stream()
	region := a1.Region
	tab.Apply(snapshot(t, a1, a2, b, far, drainOf("zone/"+string(region)+"/a", 0)), []topology.RegionID{region, "us"})
	for range 20 {
		l := mustPick(t, tab, Request{})
		if n := l.Node().Name; n != "b" && n != "far" {
			t.Errorf("picked %s, whose zone is drained", n)
		}
		l.Done(now)
	}
	got := tab.Draining()
	if len(got) != 1 || got[0].InFlight != 1 || got[0].Streams != 1 || cmp.Diff([]topology.NodeID{"a1", "a2"}, got[0].Nodes) != "" {
		t.Errorf("draining: %+v", got)
	}
	if l, err := tab.Bind("a1", now); err != nil {
		t.Errorf("a bound session: %v", err)
	} else {
		l.Done(now)
	}
	// A node that leaves the topology with leases out stays part of its zone's drain, and is cut with it.
	tab.Apply(snapshot(t, a2, b, far, drainOf("zone/"+string(region)+"/a", 0)), []topology.RegionID{region, "us"})
	if got := tab.Draining(); got[0].InFlight != 1 || len(got[0].Nodes) != 2 {
		t.Errorf("with a node gone: %+v", got)
	}
	if n, _ := tab.Cut("a1"); n != 1 {
		t.Errorf("cut %d of the node that is gone, want 1", n)
	}
	first.Done(now)
	second.Done(now)
}

func TestADrainedRegionTakesOnlyWhatNoOtherCan(t *testing.T) {
	near, far := in("eu", "near"), in("us", "far")
	order := []topology.RegionID{"eu", "us"}
	tab := NewTable()
	tab.Apply(snapshot(t, near, far), order)
	tab.SetStanding("near", StandingUp)
	tab.SetStanding("far", StandingUp)
	tab.Apply(snapshot(t, near, far, drainOf("region/eu", 0)), order)
	pick := func(want topology.NodeID) {
		t.Helper()
		l := mustPick(t, tab, Request{})
		defer l.Done(now)
		if l.Node().Name != want {
			t.Errorf("picked %s, want %s", l.Node().Name, want)
		}
	}
	pick("far")
	for _, c := range tab.Explain("p") {
		if c.Node == "near" && (c.Eligible || !strings.Contains(c.Reason, "draining since") || !strings.Contains(c.Reason, "no other region")) {
			t.Errorf("explained as %+v", c)
		}
	}
	if up, total := tab.Up("p", "eu"); up != 1 || total != 1 {
		t.Errorf("%d of %d up; what can be picked at last counts", up, total)
	}
	tab.Apply(snapshot(t, near, drainOf("region/eu", 0)), order)
	pick("near")
	for _, c := range tab.Explain("p") {
		if !c.Eligible || !c.Draining {
			t.Errorf("explained as %+v", c)
		}
	}
	tab.Cut("near")
	if _, err := tab.Pick(Request{Pool: "p", Now: now}); err == nil {
		t.Error("a node that was cut is picked")
	}
	// With the region's drain taken back and the node's own left, the cut is over, and the node is drained for good.
	tab.Apply(snapshot(t, near, drainOf("node/near", 0)), order)
	if l := tab.Load("near"); l.Cut || !l.Draining {
		t.Errorf("%+v", l)
	}
	if _, err := tab.Pick(Request{Pool: "p", Now: now}); err == nil {
		t.Error("a node that is drained itself is picked")
	}
}

func TestOfTheDrainsOfANodeTheFirstDeadlineCuts(t *testing.T) {
	n := in("eu", "n")
	n.Zone = "a"
	s := snapshot(t, n, drainOf("node/n", 0), drainOf("zone/eu/a", time.Hour), drainOf("region/eu", time.Minute))
	if d := s.DrainOf("n"); d == nil || d.Name != "region/eu" {
		t.Errorf("got %+v", d)
	}
	if s.IsReserve("n") {
		t.Error("a node with a drain of its own is kept for what no other region can take")
	}
}
