// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"meridian/balancer"
	"meridian/geo"
	"meridian/health"
	"meridian/topology"
)

var began = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// seen is a fleet with what surrounds it.
type seen struct {
	*fleet
	store   topology.Store
	changes int
	leaving bool
}

// newSeen returns the fleet as edge-a in region a sees it: regions a (Frankfurt), b (Ashburn) and c (Singapore).
func newSeen(edge topology.EdgeID) *seen {
	s := &seen{}
	region := topology.RegionID(strings.TrimPrefix(string(edge), "edge-"))
	s.fleet = &fleet{
		self: topology.Edge{Name: edge, Region: region, Addresses: []netip.Addr{addressOf(edge)}}, started: began, store: &s.store,
		table: balancer.NewTable(), tracker: health.NewTracker(nil), locator: geo.Embedded(),
		stale: func() bool { return false }, ending: func() bool { return s.leaving }, acks: func() []topology.Ack { return nil }, changed: func() { s.changes++ },
	}
	s.init()
	return s
}

func addressOf(edge topology.EdgeID) netip.Addr {
	return netip.AddrFrom4([4]byte{192, 0, 2, edge[len(edge)-1]})
}

// world returns a topology with a node n-R in each region and the edges that are given.
func world(t *testing.T, rev topology.Revision, edges ...*topology.Edge) *topology.Snapshot {
	t.Helper()
	set := topology.Set{}
	for name, at := range map[topology.RegionID][2]float64{"a": {50.11, 8.68}, "b": {39.04, -77.49}, "c": {1.29, 103.85}} {
		set.Put(&topology.Region{Name: name, Latitude: at[0], Longitude: at[1]})
		set.Put(&topology.Node{Name: topology.NodeID("n-" + name), Pool: "mcp", Region: name, Address: "127.0.0.1:1"})
	}
	set.Put(&topology.Pool{Name: "mcp", Protocol: topology.ProtocolMCP})
	set.Put(&topology.Name{Name: "mcp.test", Zone: "test", Pool: "mcp"})
	for _, e := range edges {
		set.Put(e)
	}
	snap, mistakes := topology.Build(rev, set)
	if len(mistakes) > 0 {
		t.Fatal(mistakes)
	}
	return snap
}

// peer is another edge; nil: it has not reported.
func peer(name topology.EdgeID, r *topology.Report) *topology.Edge {
	return &topology.Edge{Name: name, Region: topology.RegionID(strings.TrimPrefix(string(name), "edge-")), Addresses: []netip.Addr{addressOf(name)}, Report: r, Live: true}
}

// take takes a topology into use as server.publish does.
func (s *seen) take(snap *topology.Snapshot) {
	s.table.Apply(snap, regionOrder(snap, s.self.Region))
	s.store.Swap(snap)
	s.look()
}

// check gives the verdict on a target.
func (s *seen) check(id string, ok bool) {
	settings := map[string]health.Settings{id: {Rise: 1, Fall: 1}}
	for other := range s.tracker.All() {
		settings[other] = health.Settings{Rise: 1, Fall: 1}
	}
	s.tracker.Apply(settings, began)
	s.tracker.Probed(id, ok, "connect refused", time.Millisecond, began)
	if !strings.HasPrefix(id, edgeTarget) {
		s.table.SetStanding(topology.NodeID(id), standing(s.tracker.Verdict(id).State))
	}
}

func (s *seen) report() *topology.Report { return s.outlook.Load().report }

var up1 = map[topology.PoolID]topology.PoolView{"mcp": {Up: 1, Total: 1}}

func TestAReportIsNewWhenItSaysSomethingNew(t *testing.T) {
	s := newSeen("edge-a")
	s.look()
	if s.report().Seq != 1 || s.changes != 1 {
		t.Fatalf("before any topology: seq %d, published %d times; want 1, 1", s.report().Seq, s.changes)
	}
	s.take(world(t, 5))
	s.check("n-a", true)
	s.look()
	seq, changes := s.report().Seq, s.changes
	s.look()
	s.take(world(t, 6))
	if r := s.report(); r.Seq != seq || s.changes != changes || r.Revision != 6 {
		t.Errorf("a new revision alone: seq %d after %d, published %d times more, revision %d", r.Seq, seq, s.changes-changes, r.Revision)
	}
	s.check("n-a", false)
	s.look()
	if r := s.report(); r.Seq != seq+1 || s.changes != changes+1 || r.Nodes["n-a"] == "" || r.Pools["mcp"] != (topology.PoolView{Total: 1}) {
		t.Errorf("a node went down: %+v, published %d times more", r, s.changes-changes)
	}
}

// TestEdgesDoNotKeepEachOtherPublishing passes reports to and fro as etcd does, each with a new revision.
func TestEdgesDoNotKeepEachOtherPublishing(t *testing.T) {
	a, b := newSeen("edge-a"), newSeen("edge-b")
	for rev := range topology.Revision(20) {
		snap := world(t, rev+1, peer("edge-a", a.report()), peer("edge-b", b.report()))
		a.take(snap)
		b.take(snap)
		if rev == 9 {
			a.check("n-a", true)
			b.check("edge/edge-a", true)
		}
	}
	if a.changes > 3 || b.changes > 3 {
		t.Errorf("published %d and %d times; want at most 3 for what has changed", a.changes, b.changes)
	}
}

func TestTheNewestReportOfAnEdgeCounts(t *testing.T) {
	s := newSeen("edge-a")
	s.take(world(t, 1, peer("edge-b", nil)))
	learned := func(r *topology.Report) (is, kicked bool) {
		s.learn("edge-b", r)
		select {
		case <-s.kicks:
			kicked = true
		default:
		}
		return s.reports["edge-b"] == r, kicked
	}
	for _, c := range []struct {
		name       string
		r          topology.Report
		is, kicked bool
	}{
		{"the first", topology.Report{Started: began, Seq: 4, Revision: 1}, true, true},
		{"the same again", topology.Report{Started: began, Seq: 4, Revision: 1}, false, false},
		{"the same with a newer revision, for status", topology.Report{Started: began, Seq: 4, Revision: 2}, true, false},
		{"one that was overtaken", topology.Report{Started: began, Seq: 3, Revision: 9}, false, false},
		{"the next", topology.Report{Started: began, Seq: 5, Revision: 2}, true, true},
		{"after a restart", topology.Report{Started: began.Add(time.Hour), Seq: 1, Revision: 2}, true, true},
		{"after a restart with the clock set back", topology.Report{Started: began.Add(-time.Hour), Seq: 1, Revision: 2}, true, true},
	} {
		if is, kicked := learned(&c.r); is != c.is || kicked != c.kicked {
			t.Errorf("%s: taken %v, looked at %v; want %v, %v", c.name, is, kicked, c.is, c.kicked)
		}
	}
}

func TestTheReportOfAnEdgeThatIsGoneIsForgotten(t *testing.T) {
	s := newSeen("edge-a")
	s.take(world(t, 1, peer("edge-b", nil)))
	s.learn("edge-b", &topology.Report{Started: began, Seq: 1})
	s.learn("edge-x", &topology.Report{Started: began, Seq: 1}) // of a probe that was under way when the edge left
	s.look()
	if len(s.reports) != 1 {
		t.Errorf("reports of %d edges; want edge-b's alone", len(s.reports))
	}
	s.take(world(t, 2))
	if len(s.reports) != 0 || len(s.outlook.Load().edges) != 1 {
		t.Errorf("reports of %d edges, %d edges; want 0 and itself", len(s.reports), len(s.outlook.Load().edges))
	}
}

func TestOtherRegionsNodesStandAsTheirEdgesSay(t *testing.T) {
	says := func(brief string) *topology.Report {
		return &topology.Report{Nodes: map[topology.NodeID]string{"n-b": brief}}
	}
	for _, c := range []struct {
		name    string
		reports []*topology.Report
		want    balancer.Standing
	}{
		{"nobody reports", nil, balancer.StandingUnknown},
		{"nothing against it", []*topology.Report{{}}, balancer.StandingUp},
		{"down", []*topology.Report{says("down: connect refused")}, balancer.StandingDown},
		{"ejected", []*topology.Report{says("ejected")}, balancer.StandingDown},
		{"not checked yet", []*topology.Report{says("unknown")}, balancer.StandingUnknown},
		{"one says down, one is content", []*topology.Report{says("down"), {}}, balancer.StandingUp},
		{"one says down, one has not checked", []*topology.Report{says("down"), says("unknown")}, balancer.StandingDown},
	} {
		if got, _ := hearsay("n-b", arrival{}, c.reports, false, began); got != c.want {
			t.Errorf("%s: got %s; want %s", c.name, got, c.want)
		}
	}

	at := arrival{revision: 7, at: began}
	for _, c := range []struct {
		name   string
		report topology.Report
		after  time.Duration
		want   balancer.Standing
	}{
		{"a witness that has seen the node come", topology.Report{Revision: 7}, 0, balancer.StandingUp},
		{"one that may not have seen it yet", topology.Report{Revision: 6}, settles - 1, balancer.StandingUnknown},
		{"one that must have seen it by now", topology.Report{Revision: 6}, settles, balancer.StandingUp},
		{"one that can't see etcd", topology.Report{Revision: 6, Stale: true}, time.Hour, balancer.StandingUnknown},
	} {
		if got, _ := hearsay("n-b", at, []*topology.Report{&c.report}, false, began.Add(c.after)); got != c.want {
			t.Errorf("%s: got %s; want %s", c.name, got, c.want)
		}
	}

	s := newSeen("edge-a")
	s.take(world(t, 1, peer("edge-b", says("down: connect refused"))))
	if got := s.table.Load("n-b").Standing; got != balancer.StandingDown {
		t.Errorf("with a report against it: %s", got)
	}
	s.check("edge/edge-b", false) // an edge that is down itself is no witness
	s.look()
	if got := s.table.Load("n-b").Standing; got != balancer.StandingUnknown {
		t.Errorf("when its only witness is down: %s; want unknown", got)
	}
}

// answer returns the addresses that a client in London gets.
func (s *seen) answer(t *testing.T) (geo.Choice, string) {
	t.Helper()
	name := s.snapshot().Name("mcp.test")
	if name == nil {
		t.Fatal("there is no name")
	}
	c, addrs := s.choose(name, netip.MustParseAddr("81.2.69.160"))
	return c, fmt.Sprint(addrs)
}

func TestAnEdgeThatIsEndingIsNotAnswered(t *testing.T) {
	b := &topology.Report{Started: began, Seq: 1, Pools: up1}
	s := newSeen("edge-a")
	s.take(world(t, 1, peer("edge-b", b)))
	s.check("n-a", true)
	s.look()
	if c, addrs := s.answer(t); c.Region != "a" || addrs != "[192.0.2.97]" {
		t.Fatalf("at first: %s %s; want a", c.Region, addrs)
	}
	s.leaving = true
	s.look()
	if c, addrs := s.answer(t); c.Region != "b" || addrs != "[192.0.2.98]" || c.FailOpen {
		t.Errorf("while edge-a is ending: %s %s; want b", c.Region, addrs)
	}
	leaving := peer("edge-b", b)
	leaving.Leaving = true
	s.take(world(t, 2, leaving))
	if c, addrs := s.answer(t); c.Region != "a" || addrs != "[192.0.2.97]" || !c.FailOpen {
		t.Errorf("while all are ending: %s %s; want a, as if all could", c.Region, addrs)
	}
}

func TestWhereNoRegionCanServeTheNearestWithAnEdgeIsAnswered(t *testing.T) {
	s := newSeen("edge-c")
	s.take(world(t, 1, peer("edge-b", &topology.Report{Started: began, Seq: 1})))
	s.check("n-c", false)
	s.look()
	c, addrs := s.answer(t)
	if c.Region != "b" || addrs != "[192.0.2.98]" || !c.FailOpen {
		t.Errorf("got %s %s, fail open %v; want b: region a is nearer and has no edge", c.Region, addrs, c.FailOpen)
	}
	chosen := 0
	for _, r := range c.Considered {
		if r.Chosen {
			chosen++
			if r.Region != "b" {
				t.Errorf("%s is said to be chosen", r.Region)
			}
		}
	}
	if chosen != 1 {
		t.Errorf("%d are said to be chosen", chosen)
	}
}

func TestANameWithRegionsStaysInThem(t *testing.T) {
	s := newSeen("edge-a")
	s.take(world(t, 1, peer("edge-b", nil), peer("edge-c", nil)))
	name := &topology.Name{Name: "x.test", Pool: "mcp", Regions: []topology.RegionID{"c", "b"}}
	if c, _ := s.choose(name, netip.MustParseAddr("81.2.69.160")); c.Region != "b" || len(c.Considered) != 2 {
		t.Errorf("got %s of %d; want b of 2", c.Region, len(c.Considered))
	}
	if c, _ := s.choose(&topology.Name{Name: "x.test", Pool: "mcp"}, netip.MustParseAddr("127.0.0.1")); c.Region != "a" || !c.Default {
		t.Errorf("a client of an unknown place: got %s; want the own region", c.Region)
	}
}

func TestAReportOfADisasterStaysWithinItsBound(t *testing.T) {
	verdicts := map[string]health.Verdict{}
	reason := strings.Repeat("<", 120) // JSON may write each as six bytes
	for i := range 20000 {
		verdicts[fmt.Sprintf("%05d-%s", i, strings.Repeat("n", 57))] = health.Verdict{State: health.Down, Reason: "2 checks in a row failed: " + reason}
	}
	verdicts["edge/edge-b"] = health.Verdict{State: health.Down, Reason: "connect refused"}
	verdicts["fine"] = health.Verdict{State: health.Suspect}
	r := &topology.Report{Started: began, Seq: 1}
	accuse(r, verdicts)
	b := topology.Encode(&topology.Edge{Name: "edge-a", Region: "a", Addresses: []netip.Addr{addressOf("edge-a")}, Report: r})
	if len(b) > topology.MaxReportBytes {
		t.Errorf("the edge's value has %d bytes; at most %d", len(b), topology.MaxReportBytes)
	}
	if _, mistakes := topology.Decode(topology.Key{Kind: topology.KindEdge, Name: "edge-a"}, b); len(mistakes) > 0 {
		t.Errorf("the others refuse it: %v", mistakes[0])
	}
	if len(r.Nodes) != maxAccusations || r.Nodes["fine"] != "" {
		t.Errorf("%d nodes", len(r.Nodes))
	}
}

func TestTheFleetLooksWhenItIsKickedAndOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSeen("edge-a")
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- s.run(ctx) }()
		synctest.Wait()
		s.store.Swap(world(t, 7))
		s.kick()
		s.kick()
		time.Sleep(10 * time.Millisecond)
		synctest.Wait()
		if got := s.snapshot(); got == nil || got.Revision != 7 {
			t.Errorf("after a kick: %+v", got)
		}
		s.store.Swap(world(t, 8))
		time.Sleep(time.Second + 10*time.Millisecond)
		synctest.Wait()
		if got := s.snapshot(); got.Revision != 8 {
			t.Errorf("after a second: revision %d", got.Revision)
		}
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("run: %v", err)
		}
	})
}

func BenchmarkLookAtTenThousandNodes(b *testing.B) {
	b.ReportAllocs()
	s := newSeen("edge-a")
	set := topology.Set{}
	set.Put(&topology.Region{Name: "a"})
	set.Put(&topology.Pool{Name: "mcp"})
	settings := map[string]health.Settings{}
	for i := range 10000 {
		n := &topology.Node{Name: topology.NodeID(fmt.Sprintf("n-%d", i)), Pool: "mcp", Region: "a", Address: "127.0.0.1:1"}
		set.Put(n)
		settings[string(n.Name)] = health.Settings{}
	}
	snap, _ := topology.Build(1, set)
	s.tracker.Apply(settings, began)
	for id := range settings {
		s.tracker.Probed(id, true, "", 0, began)
	}
	s.take(snap)
	for b.Loop() {
		s.look()
	}
}
