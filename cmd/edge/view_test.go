// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"meridian/admin"
	"meridian/health"
	"meridian/topology"
)

// still returns the server of edge-a with its topology, whose checks and clocks stand still.
func still(t *testing.T) *server {
	t.Helper()
	s := wired(t, edgeConfig(t))
	t.Cleanup(s.close)
	s.fleet.look()
	return s
}

// checked gives the verdict on a target.
func (s *server) checked(id string, ok bool) {
	for range 3 {
		s.tracker.Probed(id, ok, "connect refused", time.Millisecond, time.Now())
	}
	s.fleet.look()
}

func nodeOf(t *testing.T, st admin.Status, name topology.NodeID) admin.NodeStatus {
	t.Helper()
	for _, n := range st.Nodes {
		if n.Name == name {
			return n
		}
	}
	t.Fatalf("status has no node %s", name)
	return admin.NodeStatus{}
}

func TestStatusJoinsWhatIsKnown(t *testing.T) {
	s := still(t)
	s.checked("n-a1", true)
	s.checked("n-a2", true)
	s.checked("edge/edge-b", true)
	s.fleet.learn("edge-b", &topology.Report{Started: time.Now(), Seq: 1, Revision: 3,
		Pools: map[topology.PoolID]topology.PoolView{"mcp": {Total: 1}}, Nodes: map[topology.NodeID]string{"n-b1": "down: timeout after 300ms"}})
	s.fleet.look()
	st := s.status()
	if !st.Ready || st.Edge != "edge-a" || !strings.HasPrefix(st.Topology.Source, "file ") || st.Topology.Stale {
		t.Errorf("got %+v", st)
	}
	if n := nodeOf(t, st, "n-a1"); n.Health != "up" || n.Drain != "" || n.Since.IsZero() {
		t.Errorf("n-a1: %+v", n)
	}
	if h := nodeOf(t, st, "n-a1").History; len(h) != 1 || h[0].State != health.Up || h[0].Reason != "check passed" {
		t.Errorf("n-a1: got history %+v", h)
	}
	if n := nodeOf(t, st, "n-b1"); len(n.History) != 1 || n.History[0].State != health.Down || !n.Since.Equal(n.History[0].At) || fmt.Sprint(n.CheckedBy) != "[edge-b]" {
		t.Errorf("n-b1, which another edge checks: got %+v", n)
	}
	if n := nodeOf(t, st, "n-a2"); n.Health != "up" || n.Drain != "draining" {
		t.Errorf("n-a2: %+v; want it draining: no edge has said that it is quiet", n)
	}
	if n := nodeOf(t, st, "n-b1"); n.Health != "down" || n.Reason != "timeout after 300ms (says edge-b)" {
		t.Errorf("n-b1: %+v", n)
	}
	p := st.Pools[0]
	if p.Up != 1 || p.Total != 3 || p.Regions["a"] != (topology.PoolView{Up: 1, Total: 2}) || p.Regions["b"] != (topology.PoolView{Total: 1}) {
		t.Errorf("pool: %+v", p)
	}
	a, b := st.Regions[0], st.Regions[1]
	if !a.Pools["mcp"].CanServe || a.Edges != (topology.PoolView{Up: 1, Total: 1}) {
		t.Errorf("region a: %+v", a)
	}
	if b.Pools["mcp"].CanServe || b.Pools["mcp"].Reason != "no node of pool mcp is up" || b.Edges != (topology.PoolView{Up: 1, Total: 1}) {
		t.Errorf("region b: %+v", b)
	}
	if e := st.Edges; len(e) != 2 || !e[0].Self || e[0].Health != "up" || e[1].Self || e[1].Health != "up" || e[1].Revision != 3 {
		t.Errorf("edges: %+v", e)
	}
	if len(st.Drains) != 1 || st.Drains[0].Name != "node/n-a2" {
		t.Errorf("drains: %+v", st.Drains)
	}
}

func TestANodeIsDrainedOnceEveryEdgeHasSaidSo(t *testing.T) {
	s := still(t)
	s.checked("edge/edge-b", true)
	seq := uint64(0)
	f := func(own, other *topology.Ack, want string) {
		t.Helper()
		seq++
		r := &topology.Report{Started: s.started, Seq: seq}
		if other != nil {
			r.Acks = []topology.Ack{*other}
		}
		s.fleet.learn("edge-b", r)
		s.lastAcks.Store(nil)
		if own != nil {
			s.publishAcks([]topology.Ack{*own})
		}
		s.fleet.look()
		if n := nodeOf(t, s.status(), "n-a2"); n.Drain != want {
			t.Errorf("with %+v here and %+v there: %q; want %q", own, other, n.Drain, want)
		}
	}
	quiet, busy := &topology.Ack{Node: "n-a2", Revision: 1}, &topology.Ack{Node: "n-a2", Revision: 1, Streams: 1}
	f(nil, nil, "draining")
	f(quiet, nil, "draining")
	f(quiet, busy, "draining")
	f(quiet, quiet, "drained")
	f(quiet, &topology.Ack{Node: "n-a2", Revision: 1, Cut: 2, Done: true}, "cut")
	s.checked("edge/edge-b", false) // it is down: nobody waits for its word
	f(quiet, busy, "drained")
}

func TestStatusBeforeAnyTopologyIsEmptyAndSaysSo(t *testing.T) {
	cfg := edgeConfig(t)
	cfg.TopologyFile, cfg.Etcd.Endpoints, cfg.DataDir = "", []string{"http://127.0.0.1:1"}, t.TempDir()
	s := wired(t, cfg)
	defer s.close()
	st := s.status()
	if st.Ready || !strings.Contains(st.Reason, "no topology yet") {
		t.Errorf("got %+v", st)
	}
	if st.Nodes == nil || st.Pools == nil || st.Regions == nil || st.Edges == nil || st.Drains == nil || st.Refused == nil {
		t.Errorf("a list is null in JSON: %+v", st)
	}
	if items := s.list(topology.KindNode); items == nil || len(items) != 0 {
		t.Errorf("list: %v", items)
	}
	if _, err := s.explainDNS("mcp.test", netip.MustParseAddr("192.0.2.1")); err == nil {
		t.Error("a name is explained where there is none")
	}
}

func TestAnEdgeThatEndsIsShownAsLeaving(t *testing.T) {
	s := still(t)
	s.checked("n-a1", true)
	s.ending.Store(true)
	s.fleet.look()
	st := s.status()
	if st.Edges[0].Health != "leaving" || st.Regions[0].Edges.Up != 0 || st.Regions[0].Pools["mcp"].CanServe || st.Ready {
		t.Errorf("got %+v, regions %+v", st.Edges[0], st.Regions[0])
	}
}

func TestWhatTheReportsSayOfANode(t *testing.T) {
	n := &topology.Node{Name: "n-b1", Region: "b"}
	of := func(brief string) *topology.Report {
		if brief == "" {
			return &topology.Report{}
		}
		return &topology.Report{Nodes: map[topology.NodeID]string{"n-b1": brief}}
	}
	in := func(region topology.RegionID, st health.State, r *topology.Report) health.EdgeView {
		return health.EdgeView{Edge: &topology.Edge{Name: "edge-x", Region: region}, Standing: st, Report: r}
	}
	for _, c := range []struct {
		name, state, reason string
		edges               []health.EdgeView
	}{
		{"nobody reports", "unknown", "no edge that checks it reports", nil},
		{"an edge of another region", "unknown", "no edge that checks it reports", []health.EdgeView{in("a", health.Up, of("down"))}},
		{"an edge that is down", "unknown", "no edge that checks it reports", []health.EdgeView{in("b", health.Down, of(""))}},
		{"content", "up", "says edge-x", []health.EdgeView{in("b", health.Up, of(""))}},
		{"down without a reason", "down", "- (says edge-x)", []health.EdgeView{in("b", health.Up, of("down"))}},
		{"ejected with one", "ejected", "5 errors in a row: status 502 (says edge-x)", []health.EdgeView{in("b", health.Up, of("ejected: 5 errors in a row: status 502"))}},
		{"one against, one content", "up", "says edge-x", []health.EdgeView{in("b", health.Up, of("down")), in("b", health.Unknown, of(""))}},
	} {
		if state, reason := reportedHealth(n, &outlook{edges: c.edges}, nil); state != c.state || reason != c.reason {
			t.Errorf("%s: got %q %q; want %q %q", c.name, state, reason, c.state, c.reason)
		}
	}
}

func TestExplainDNSIsTheAnswerAndWhy(t *testing.T) {
	s := still(t)
	s.checked("n-a1", true)
	for _, c := range []struct {
		name, from   string
		region       topology.RegionID
		why          string
		failOpen, ok bool
	}{
		{"mcp.test", "81.2.69.160", "a", "it is the nearest region that can serve", false, true},
		{"MCP.Test.", "81.2.69.160", "a", "it is the nearest region that can serve", false, true},
		{"mcp.test", "127.0.0.1", "a", "the client's place is unknown, so the answering edge's own region comes first", false, true},
		{"mcp.test", "fe80::1%eth0", "a", "the client's place is unknown", false, true},
		{"mcp.test", "::ffff:81.2.69.160", "a", "it is the nearest region that can serve", false, true},
		{"other.test", "81.2.69.160", "", "", false, false},
	} {
		x, err := s.explainDNS(c.name, netip.MustParseAddr(c.from))
		if (err == nil) != c.ok || x.Region != c.region || !strings.HasPrefix(x.Why, c.why) || x.FailOpen != c.failOpen {
			t.Errorf("%s from %s: %+v, %v", c.name, c.from, x, err)
		}
		if c.ok && (len(x.Addresses) == 0 || !x.Scope.IsValid() || len(x.Regions) != 2) {
			t.Errorf("%s from %s: %+v", c.name, c.from, x)
		}
	}
	s.checked("n-a1", false)
	s.checked("edge/edge-b", true)
	if x, _ := s.explainDNS("mcp.test", netip.MustParseAddr("81.2.69.160")); x.Region != "b" || x.Why != "it is the nearest region that can serve; 1 nearer cannot" {
		t.Errorf("with a's nodes down: %+v", x)
	}
	s.checked("edge/edge-b", false)
	if x, _ := s.explainDNS("mcp.test", netip.MustParseAddr("81.2.69.160")); x.Region != "a" || !x.FailOpen || x.Why != "no region can serve: answered as if all could" {
		t.Errorf("with all down: %+v", x)
	}
}

func TestExplainHTTPIsTheRouteAndTheNode(t *testing.T) {
	s := still(t)
	s.checked("n-a1", true)
	u := &url.URL{Scheme: "http", Host: "mcp.test", Path: "/mcp"}
	x, err := s.explainHTTP("POST", u)
	if err != nil || x.Route != "mcp" || x.Node != "n-a1" || len(x.Nodes) != 3 {
		t.Fatalf("got %+v, %v", x, err)
	}
	for _, n := range x.Nodes {
		if n.Chosen != (n.Node == "n-a1") || n.Eligible != (n.Node == "n-a1") {
			t.Errorf("%+v", n)
		}
	}
	for _, bad := range []struct{ method, scheme string }{{"P OST", "http"}, {"CONNECT", "http"}, {"GET", "ftp"}} {
		if x, err := s.explainHTTP(bad.method, &url.URL{Scheme: bad.scheme, Host: "mcp.test"}); err == nil {
			t.Errorf("%v is explained, though an edge refuses it: %+v", bad, x)
		}
	}
	if x, err := s.explainHTTP("GET", &url.URL{Scheme: "http", Host: "mcp.test"}); err != nil || x.Path != "/" || x.Route != "" || x.Nodes == nil {
		t.Errorf("no route: %+v, %v", x, err)
	}
}

func TestEachKindIsListed(t *testing.T) {
	s := still(t)
	want := map[topology.Kind]string{"regions": "a b", "edges": "edge-b", "pools": "mcp", "nodes": "n-a1 n-a2 n-b1", "routes": "mcp", "names": "mcp.test", "drains": "node/n-a2"}
	for _, k := range topology.Kinds {
		var names []string
		for _, it := range s.list(k) {
			if it.Kind != k || it.Live {
				t.Errorf("%s: %+v", k, it)
			}
			names = append(names, it.Name)
		}
		if got := strings.Join(names, " "); got != want[k] {
			t.Errorf("%s: got %s; want %s", k, got, want[k])
		}
	}
}
