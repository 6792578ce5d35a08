// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/netip"
	"testing"
	"time"

	"meridian/topology"

	"github.com/google/go-cmp/cmp"
)

// bounded returns a topology whose node n-a, in region a, has a capacity of 100 and 1,000 a second.
func bounded(t *testing.T, rev topology.Revision, edges ...*topology.Edge) *topology.Snapshot {
	t.Helper()
	set := topology.Set{}
	set.Put(&topology.Region{Name: "a"})
	set.Put(&topology.Pool{Name: "mcp"})
	set.Put(&topology.Node{Name: "n-a", Pool: "mcp", Region: "a", Address: "127.0.0.1:1", Capacity: topology.Capacity{Connections: 100, RPS: 1000}})
	set.Put(&topology.Node{Name: "free", Pool: "mcp", Region: "a", Address: "127.0.0.1:2"})
	for _, e := range edges {
		set.Put(e)
	}
	snap, mistakes := topology.Build(rev, set)
	if len(mistakes) > 0 {
		t.Fatal(mistakes)
	}
	return snap
}

func TestAnEdgeReportsWhatItHasOutAtNodesWithACapacity(t *testing.T) {
	s := newSeen("edge-a")
	s.take(bounded(t, 1))
	now := time.Now()
	for _, n := range []topology.NodeID{"n-a", "free"} {
		for range 12 {
			if _, err := s.table.Bind(n, now); err != nil {
				t.Fatal(err)
			}
		}
	}
	s.table.Tick(now)
	s.fleet.usage.at = time.Time{} // a second later
	s.look()
	r := s.fleet.outlook.Load().report
	if diff := cmp.Diff(map[topology.NodeID]topology.Usage{"n-a": {InFlight: 15, PerSecond: 50}}, r.Usage); diff != "" { // in steps of 5 and 50
		t.Error(diff)
	}
	if len(r.Availability) != 1 || r.Availability[0].A != 1 || r.Availability[0].Region != "a" {
		t.Errorf("%+v", r.Availability)
	}
	seq := r.Seq
	for range 12 {
		s.table.Bind("n-a", now)
	}
	s.table.Tick(now)
	s.look()
	if r := s.fleet.outlook.Load().report; r.Seq != seq {
		t.Error("a second report within a second, for what is out alone")
	}
}

func TestAnEdgeKeepsToItsShareByTheOthersReports(t *testing.T) {
	s := newSeen("edge-a")
	b := &topology.Edge{Name: "edge-b", Region: "a", Addresses: []netip.Addr{addressOf("edge-b")}, Live: true, Report: &topology.Report{
		Started: began, Seq: 1, Usage: map[topology.NodeID]topology.Usage{"n-a": {InFlight: 60}},
	}}
	limit := func() int {
		for _, c := range s.table.Explain("mcp") {
			if c.Node == "n-a" {
				return c.Limit
			}
		}
		return -1
	}
	s.take(bounded(t, 1))
	if limit() != 100 {
		t.Errorf("alone the limit is %d", limit())
	}
	s.take(bounded(t, 2, b))
	if limit() != 8 { // a fifth of the 40 that are free: it has nothing out itself
		t.Errorf("beside an edge that has 60 out it is %d", limit())
	}
	b.Leaving = true
	s.take(bounded(t, 3, b))
	if limit() != 100 {
		t.Errorf("when that edge leaves it is %d", limit())
	}
}

func TestStepsRoundUp(t *testing.T) {
	for _, c := range [][3]float64{{0, 100, 0}, {1, 100, 5}, {5, 100, 5}, {6, 100, 10}, {3, 8, 3}, {7, 0, 0}, {130, 100, 130}} {
		if got := inSteps(c[0], c[1]); got != c[2] {
			t.Errorf("%v of %v: %v, want %v", c[0], c[1], got, c[2])
		}
	}
}
