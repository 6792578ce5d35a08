// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"

	"meridian/admin"
	"meridian/balancer"
	"meridian/topology"
)

func TestStatusShowsAnAlarm(t *testing.T) {
	st := admin.TopologyStatus{Source: "etcd", Held: 3, Alarm: "the registrations vanished (3 of 3)"}
	if got := topologyLine(st); !strings.HasSuffix(got, "\nALARM: the registrations vanished (3 of 3)") {
		t.Errorf("got %q", got)
	}
	if got := topologyLine(admin.TopologyStatus{Source: "etcd"}); strings.Contains(got, "ALARM") {
		t.Errorf("without one: %q", got)
	}
}

// TestWhatIsDeadByChecks has a node of the own region, one of another and an edge, each well and dead.
func TestWhatIsDeadByChecks(t *testing.T) {
	s := newPlanned(&topology.Edge{Name: "edge-a", Region: "a"})
	edge := peer("edge-b", nil)
	edge.Admin = "192.0.2.98:9090"
	snap := world(t, 1, edge)
	s.table.Apply(snap, nil)
	s.store.Swap(snap)
	s.retarget()
	all := []topology.Resource{snap.Node("n-a"), snap.Node("n-b"), snap.Edge("edge-b")}
	for _, r := range append(all, &topology.Pool{Name: "mcp"}) {
		if s.foundDown(r) {
			t.Errorf("%s is dead before anybody has looked", r.Key())
		}
	}
	s.table.SetStanding("n-b", balancer.StandingDown) // as the reports say
	for _, id := range []string{"n-a", edgeTarget + "edge-b"} {
		for range 2 {
			s.tracker.Probed(id, false, "connect refused", 0, began)
		}
	}
	for _, r := range all {
		if !s.foundDown(r) {
			t.Errorf("%s is not dead", r.Key())
		}
	}
}
