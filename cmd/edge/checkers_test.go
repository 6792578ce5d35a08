// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"slices"
	"testing"
	"time"

	"meridian/balancer"
	"meridian/config"
	"meridian/health"
	"meridian/health/probe"
	"meridian/topology"
)

// largeWorld is the design's scale: 100 edges and 10,000 nodes in 8 regions of 4 zones, of which the last has no edge.
func largeWorld(t *testing.T) *topology.Snapshot {
	t.Helper()
	set := topology.Set{}
	set.Put(&topology.Pool{Name: "mcp"})
	region := func(i int) topology.RegionID { return topology.RegionID(fmt.Sprintf("r%d", i%8)) }
	for i := range 8 {
		set.Put(&topology.Region{Name: region(i)})
	}
	for i := range 100 {
		set.Put(&topology.Edge{
			Name: topology.EdgeID(fmt.Sprintf("edge-%d", i)), Region: region(i), Zone: fmt.Sprintf("z%d", i/8%3), Live: true,
			Addresses: []netip.Addr{netip.AddrFrom4([4]byte{192, 0, 2, byte(i)})}, Admin: fmt.Sprintf("192.0.2.%d:9090", i+1),
		})
	}
	for i := range 10000 {
		set.Put(&topology.Node{
			Name: topology.NodeID(fmt.Sprintf("n-%d", i)), Pool: "mcp", Region: region(i), Zone: fmt.Sprintf("z%d", i/8%4),
			Address: fmt.Sprintf("10.0.%d.%d:80", i/250, i%250+1),
		})
	}
	snap, mistakes := topology.Build(1, set)
	if len(mistakes) > 0 {
		t.Fatal(mistakes)
	}
	return snap
}

// newPlanned is a server as far as its checks go. It checks nothing: its prober doesn't run.
func newPlanned(e *topology.Edge) *server {
	s := &server{cfg: &config.Edge{Name: e.Name, Region: e.Region, Zone: e.Zone}, log: slog.New(slog.NewTextHandler(io.Discard, nil)), table: balancer.NewTable()}
	s.tracker = health.NewTracker(s.verdictChanged)
	s.prober = probe.New(probe.Config{Tracker: s.tracker})
	s.fleet = &fleet{
		self: *e, started: began, store: &s.store, table: s.table, tracker: s.tracker,
		stale: func() bool { return false }, ending: func() bool { return false }, acks: func() []topology.Ack { return nil }, changed: func() {},
	}
	s.fleet.init()
	return s
}

// TestAHundredEdgesCheckTenThousandNodesTogether counts what each of them checks, before and after the loss of one that all but it see.
func TestAHundredEdgesCheckTenThousandNodesTogether(t *testing.T) {
	snap := largeWorld(t)
	lost := snap.Edge("edge-8")
	checked := map[topology.NodeID]int{}
	most, moved := 0, 0
	for i, e := range snap.Edges {
		s := newPlanned(e)
		s.store.Swap(snap)
		s.retarget()
		before := *s.fleet.plan.Load()
		_, settings := s.targets(snap, before)
		own := 0
		for _, n := range snap.Nodes {
			set, is := settings[string(n.Name)]
			switch {
			case before.has(n.Name, e.Name) != (is && set.Rarely == 0):
				t.Fatalf("%s checks %s: %v; it is checked by %v", e.Name, n.Name, set, before[n.Name])
			case is && set.Rarely == 0:
				own++
				checked[n.Name]++
			case is != (n.Region == e.Region):
				t.Fatalf("%s knows %s of %s: %v", e.Name, n.Name, n.Region, is)
			}
		}
		most = max(most, own)
		if e.Name == lost.Name || i%20 != 0 {
			continue
		}
		for range edgeFall {
			s.tracker.Probed(edgeTarget+string(lost.Name), false, "connect refused", 0, began)
		}
		after := *s.fleet.plan.Load()
		for _, n := range snap.Nodes {
			if !slices.Equal(before[n.Name], after[n.Name]) {
				moved++ // at each of five edges
				if !before.has(n.Name, lost.Name) {
					t.Fatalf("%s was not checked by %s, but by %v, and now by %v", n.Name, lost.Name, before[n.Name], after[n.Name])
				}
			}
		}
	}
	for _, n := range snap.Nodes {
		if c := checked[n.Name]; c < 3 || c > 5 {
			t.Errorf("%s is checked by %d edges", n.Name, c)
		}
	}
	t.Logf("at most %d of 10000 nodes an edge; the loss of one changes %d nodes", most, moved/5)
	if most > 500 || moved == 0 || moved/5 > 500 {
		t.Errorf("an edge checks %d nodes, and the loss of one changes %d; want at most 500", most, moved/5)
	}
}

// TestOthersWordOnNodesOfTheOwnRegion has edge-1 hear of a node in the zone of three others.
func TestOthersWordOnNodesOfTheOwnRegion(t *testing.T) {
	set := topology.Set{}
	set.Put(&topology.Region{Name: "a"})
	set.Put(&topology.Pool{Name: "mcp"})
	set.Put(&topology.Node{Name: "n", Pool: "mcp", Region: "a", Zone: "y", Address: "10.0.0.1:80"})
	down := map[topology.NodeID]string{"n": "down: connect refused"}
	says := func(seq uint64, nodes [3]map[topology.NodeID]string) *topology.Snapshot {
		for i, zone := range []string{"x", "y", "y", "y"} {
			e := &topology.Edge{Name: topology.EdgeID(fmt.Sprintf("edge-%d", i+1)), Region: "a", Zone: zone, Addresses: []netip.Addr{addressOf("edge-a")}, Live: true}
			if i > 0 {
				e.Report = &topology.Report{Started: began, Seq: seq, Revision: topology.Revision(seq), Nodes: nodes[i-1]}
			}
			set.Put(e)
		}
		snap, mistakes := topology.Build(topology.Revision(seq), set)
		if len(mistakes) > 0 {
			t.Fatal(mistakes)
		}
		return snap
	}
	s := newPlanned(&topology.Edge{Name: "edge-1", Region: "a", Zone: "x"})
	none := map[topology.NodeID]string(nil)
	unchecked := map[topology.NodeID]string{"n": "unknown"}
	for seq, c := range []struct {
		name  string
		nodes [3]map[topology.NodeID]string
		want  health.State
	}{
		{"nobody has checked it", [3]map[topology.NodeID]string{unchecked, unchecked, unchecked}, health.Unknown},
		{"one has", [3]map[topology.NodeID]string{none, unchecked, unchecked}, health.Up},
		{"one is cut off from it", [3]map[topology.NodeID]string{none, down, none}, health.Up},
		{"two find it dead, one is late", [3]map[topology.NodeID]string{down, down, none}, health.Down},
		{"and stay so", [3]map[topology.NodeID]string{down, down, down}, health.Down},
		{"it is back for two", [3]map[topology.NodeID]string{none, down, none}, health.Up},
		{"requests of one's own fail there, not checks", [3]map[topology.NodeID]string{{"n": "ejected: 5 errors in a row"}, {"n": "ejected"}, none}, health.Up},
	} {
		snap := says(uint64(seq+1), c.nodes)
		s.table.Apply(snap, nil)
		s.store.Swap(snap)
		s.retarget()
		s.fleet.look()
		if v := s.tracker.Verdict("n"); v.State != c.want {
			t.Errorf("%s: %+v; want it %s", c.name, v, c.want)
		}
		if got, want := s.table.Load("n").Standing, standing(c.want); got != want {
			t.Errorf("%s: it stands %s; want %s", c.name, got, want)
		}
	}
	if got := s.fleet.checkersOf("n"); !slices.Equal(got, []topology.EdgeID{"edge-2", "edge-3", "edge-4"}) {
		t.Errorf("it is checked by %v", got)
	}
	if h := s.tracker.History("n"); len(h) < 3 || h[len(h)-1].Reason == "" {
		t.Errorf("got the history %+v", h)
	}
}

// TestAnEdgeThatOnlyAnOperatorHasWrittenDownChecksNothing has one such edge, until it answers.
func TestAnEdgeThatOnlyAnOperatorHasWrittenDownChecksNothing(t *testing.T) {
	written := &topology.Edge{Name: "edge-b", Region: "b", Addresses: []netip.Addr{addressOf("edge-b")}, Admin: "192.0.2.98:9090"}
	s := newPlanned(&topology.Edge{Name: "edge-a", Region: "a"})
	s.store.Swap(world(t, 1, written))
	s.retarget()
	if got := s.fleet.checkersOf("n-b"); !slices.Equal(got, []topology.EdgeID{"edge-a"}) {
		t.Errorf("checked by %v before it has answered", got)
	}
	s.tracker.Probed(edgeTarget+"edge-b", true, "", time.Millisecond, began)
	if got := s.fleet.checkersOf("n-b"); !slices.Equal(got, []topology.EdgeID{"edge-b"}) {
		t.Errorf("checked by %v now that it answers", got)
	}
}

// TestWhatIsHeardOfANodeIsKept has another region's node go down and up many times.
func TestWhatIsHeardOfANodeIsKept(t *testing.T) {
	s := newSeen("edge-a")
	for i := range 2 * health.MaxHistory {
		r := &topology.Report{Started: began, Seq: uint64(i + 1), Revision: topology.Revision(i + 1)}
		if i%2 == 1 {
			r.Nodes = map[topology.NodeID]string{"n-b": "down: connect refused"}
		}
		s.take(world(t, topology.Revision(i+1), peer("edge-b", r)))
		s.look() // and nothing new
		h := s.outlook.Load().heard["n-b"]
		if want := min(i+1, health.MaxHistory); len(h) != want || h[want-1].State != []health.State{health.Up, health.Down}[i%2] || h[want-1].Reason == "" {
			t.Fatalf("after %d changes: %+v", i+1, h)
		}
	}
	if h := s.outlook.Load().heard["n-c"]; h != nil {
		t.Errorf("of a node of which nobody says anything: %+v", h)
	}
}
