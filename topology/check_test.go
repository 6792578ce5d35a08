// SPDX-License-Identifier: Apache-2.0

package topology

import (
	"net/netip"
	"strings"
	"testing"
	"time"
)

// checks calls Check on r and compares the fields at fault, in their order, with want.
func checks(t *testing.T, r Resource, want ...string) {
	t.Helper()
	var got []string
	for _, m := range Check(r) {
		got = append(got, m.Field)
		if m.Key != r.Key() || m.Message == "" {
			t.Errorf("got %+v", m)
		}
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("got mistakes in %v, want %v: %v", got, want, Check(r))
	}
}

func TestRegionIsHeldToItsBounds(t *testing.T) {
	f := func(r Region, want ...string) { t.Helper(); checks(t, &r, want...) }
	f(Region{Name: "us-east-1", Latitude: -90, Longitude: 180})
	f(Region{Name: "US", Latitude: 90.01, Longitude: -181}, "name", "latitude", "longitude")
	nan := 0.0
	nan /= nan
	f(Region{Name: "a", Latitude: nan, Longitude: nan, Version: 2}, "version", "latitude", "longitude")
}

func TestNamesAreLabels(t *testing.T) {
	f := func(s string, want bool) {
		t.Helper()
		if got := validName(s); got != want {
			t.Errorf("validName(%q) = %v, want %v", s, got, want)
		}
	}
	f("a", true)
	f("eu-central-1.a", true)
	f(strings.Repeat("a", 63), true)
	f(strings.Repeat("a", 64), false)
	for _, bad := range []string{"", "-a", "a-", ".a", "a.", "a..b", "A", "a_b", "a/b", "a b", "é", "a\x00"} {
		f(bad, false)
	}
}

func TestNodeIsHeldToItsBounds(t *testing.T) {
	f := func(change func(*Node), want ...string) {
		t.Helper()
		n := &Node{Name: "mcp-1", Pool: "mcp", Region: "r", Address: "10.0.0.7:8080"}
		change(n)
		checks(t, n, want...)
	}
	f(func(*Node) {})
	f(func(n *Node) { *n = Node{} }, "name", "pool", "region", "address")
	f(func(n *Node) { n.Zone, n.Weight = "B", -1 }, "zone", "weight")
	f(func(n *Node) { n.Weight = 1001; n.Capacity = Capacity{Connections: -1, RPS: -1} }, "weight", "capacity.connections", "capacity.rps")
	f(func(n *Node) { n.Labels = map[string]string{"b": "\x1b[2J", "a": strings.Repeat("x", 257), "C": ""} }, "labels.C", "labels.a", "labels.b")
	f(func(n *Node) { n.Labels = map[string]string{"bad\nkey": "\u202e"} }, `labels."bad\nkey"`, `labels."bad\nkey"`)
	f(func(n *Node) { n.Load = &Load{CPU: 1.5} }, "load")
	f(func(n *Node) { n.Load = &Load{InFlight: -1} }, "load")
	for _, address := range []string{"", "10.0.0.7", "10.0.0.7:0", "localhost:80", "0.0.0.0:80", "[::]:80", "224.0.0.1:80",
		"255.255.255.255:80", "169.254.169.254:80", "[fe80::1%eth0]:80", "[::ffff:169.254.169.254]:80", "[fd00::1%x]:80", "10.0.0.7:65536", "unix:/x"} {
		f(func(n *Node) { n.Address = address }, "address")
	}
	f(func(n *Node) { n.Address = "[2001:db8::7]:8080" })
	f(func(n *Node) { n.Address = "127.0.0.1:1" })
}

func TestPoolIsHeldToItsBounds(t *testing.T) {
	f := func(h HealthCheck, want ...string) { t.Helper(); checks(t, &Pool{Name: "p", HealthCheck: h}, want...) }
	ms := func(n int) Duration { return Duration(time.Duration(n) * time.Millisecond) }
	f(HealthCheck{})
	f(HealthCheck{Type: "icmp"}, "health_check.type")
	f(HealthCheck{Type: CheckTCP, Path: "/x"}, "health_check.path")
	for _, path := range []string{"x", "//x", "/a/../b", "/.", "/..", "/a?b", "/a#b", "/a b", "/\r\n", "/é", "/" + strings.Repeat("a", 1024)} {
		f(HealthCheck{Path: path}, "health_check.path")
	}
	f(HealthCheck{Path: "/a/...b/.c%20d"})
	f(HealthCheck{Interval: ms(49), Timeout: ms(9), Rise: -1, Fall: 101}, "health_check.interval", "health_check.timeout", "health_check.rise", "health_check.fall")
	f(HealthCheck{Interval: ms(100), FastInterval: ms(101)}, "health_check.fast_interval")
	f(HealthCheck{FastInterval: ms(19)}, "health_check.fast_interval")
	checks(t, &Pool{Name: "p", Protocol: "gopher", Passive: Passive{ConsecutiveErrors: 1001, Ban: ms(1)}}, "protocol", "passive.consecutive_errors", "passive.ban")
	checks(t, &Pool{Name: "p", Passive: Passive{MaxFails: 1001, FailTimeout: ms(1)}}, "passive.max_fails", "passive.fail_timeout")
	checks(t, &Pool{Name: "p", Passive: Passive{MaxFails: 3, Ban: ms(1000)}}, "passive")
	checks(t, &Pool{Name: "p", Passive: Passive{FailTimeout: ms(1000)}.WithDefaults()})
}

func TestDefaultsAreWithinTheBounds(t *testing.T) {
	for _, interval := range []time.Duration{0, 50 * time.Millisecond, 100 * time.Millisecond, time.Second, time.Hour} {
		h := HealthCheck{Interval: Duration(interval)}.WithDefaults()
		checks(t, &Pool{Name: "p", HealthCheck: h, Passive: Passive{}.WithDefaults()})
		if h.FastInterval > h.Interval || h.Timeout > h.Interval {
			t.Errorf("got %+v", h)
		}
	}
	r := Route{Name: "r", Pool: "p", Timeouts: Timeouts{}.WithDefaults()}
	r.Tries = r.EffectiveTries()
	checks(t, &r)
}

func TestRouteIsHeldToItsBounds(t *testing.T) {
	f := func(r Route, want ...string) { t.Helper(); r.Name, r.Pool = "r", "p"; checks(t, &r, want...) }
	f(Route{Hosts: []string{"a.example.org", "*.example.org", "127.0.0.1"}})
	f(Route{Hosts: []string{"A", "a:80", "*", "*.", "a.*.b", "", "a..b", "-a", "é"}}, "hosts[0]", "hosts[1]", "hosts[2]", "hosts[3]", "hosts[4]", "hosts[5]", "hosts[6]", "hosts[7]", "hosts[8]")
	f(Route{Hosts: make([]string, 65), PathPrefix: "/"}, append([]string{"hosts"}, indexed("hosts", 65)...)...)
	f(Route{AllowedOrigins: []string{"https://x"}, PathPrefix: "x", Methods: []string{"GET", "get", "TRACE"}, Tries: 11},
		"allowed_origins[0]", "path_prefix", "methods[1]", "methods[2]", "tries")
	f(Route{Timeouts: Timeouts{Connect: -1, FirstByte: Duration(2 * time.Hour), Idle: 1, Request: 1}, MaxBodyBytes: -1}, "timeouts.connect", "timeouts.first_byte", "timeouts.idle", "timeouts.request", "max_body_bytes")
	checks(t, &Route{}, "name", "pool")
}

func indexed(field string, n int) (out []string) {
	for i := range n {
		out = append(out, field+"["+itoa(i)+"]")
	}
	return out
}

func TestNameIsHeldToItsBounds(t *testing.T) {
	f := func(n Name, want ...string) { t.Helper(); n.Pool = "p"; checks(t, &n, want...) }
	f(Name{Name: "mcp.edge.test", Zone: "edge.test", TTL: Duration(10 * time.Second)})
	f(Name{Name: "edge.test", Zone: "edge.test"})
	f(Name{Name: "mcp.edge.test."}, "name")
	f(Name{Name: "mcp"}, "name")
	f(Name{Name: "Mcp.edge.test"}, "name")
	f(Name{Name: "mcp.edge.test", Zone: "dge.test"}, "zone")
	f(Name{Name: "mcp.edge.test", Zone: "other.test"}, "zone")
	f(Name{Name: "a.test", Regions: []RegionID{"ok", "NO"}, TTL: Duration(1500 * time.Millisecond)}, "regions[1]", "ttl")
	f(Name{Name: "a.test", TTL: Duration(25 * time.Hour)}, "ttl")
}

func TestEdgeIsHeldToItsBounds(t *testing.T) {
	addresses := func(s ...string) (out []netip.Addr) {
		for _, a := range s {
			out = append(out, netip.MustParseAddr(a))
		}
		return out
	}
	f := func(change func(*Edge), want ...string) {
		t.Helper()
		e := &Edge{Name: "e", Region: "r", Addresses: addresses("192.0.2.1", "2001:db8::1")}
		change(e)
		checks(t, e, want...)
	}
	f(func(*Edge) {})
	f(func(e *Edge) { e.Addresses = nil }, "addresses")
	f(func(e *Edge) { e.Addresses = addresses("::ffff:192.0.2.1", "0.0.0.0", "fe80::1") }, "addresses[0]", "addresses[1]", "addresses[2]")
	f(func(e *Edge) { e.Addresses = make([]netip.Addr, 1) }, "addresses[0]")
	f(func(e *Edge) { e.HTTP, e.DNS, e.Admin = "x", "y", "z" }, "http", "dns", "admin")
	f(func(e *Edge) { e.Report = &Report{Revision: -1, Pools: map[PoolID]PoolView{"p": {Up: 2, Total: 1}}} }, "report.revision", "report.pools")
	f(func(e *Edge) { e.Report = &Report{Nodes: map[NodeID]string{"N": "down: \x1b[2J"}} }, "report.nodes", "report.nodes")
}

func TestDrainIsHeldToItsBounds(t *testing.T) {
	now := time.Now()
	f := func(d Drain, want ...string) { t.Helper(); checks(t, &d, want...) }
	f(Drain{Name: "node/a", Author: "someone", Reason: "two words", Created: now, Deadline: now.Add(time.Minute)})
	f(Drain{Name: "a"}, "name")
	f(Drain{Name: "node/"}, "name")
	f(Drain{Name: "node/a/b"}, "name")
	for _, good := range []string{"node/a", "zone/r/a", "region/eu-central-1", "edge/edge-1"} {
		f(Drain{Name: good})
	}
	for _, bad := range []string{"pool/a", "zone/a", "zone/r/", "zone//a", "zone/r/a/b", "region/", "region/A", "edge/a/b", "edge/", "/a", ""} {
		f(Drain{Name: bad}, "name")
	}
	f(Drain{Name: "node/a", Author: "a\nb", Reason: "\x7f", Created: now, Deadline: now.Add(-time.Second)}, "author", "reason", "deadline")
	f(Drain{Name: "node/a", Reason: strings.Repeat("x", 1025)}, "reason")
	f(Drain{Name: "node/a", Reason: "\u009b31m"}, "reason")
}

func TestMistakesCannotForgeLines(t *testing.T) {
	_, found := Decode(Key{KindNode, "a\nb\x1b"}, []byte(`{"name":"x\ny","pool":"\u001b","labels":{"\n":"\n"}}`))
	if len(found) < 4 {
		t.Fatalf("got %v", found)
	}
	for _, m := range found {
		if strings.ContainsFunc(m.Error(), hidden) {
			t.Errorf("got %q", m.Error())
		}
	}
}
