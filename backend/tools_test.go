// SPDX-License-Identifier: Apache-2.0

package backend

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"meridian/geo"
	"meridian/topology"
)

// smallFleet is a topology of two regions with one pool.
func smallFleet(t *testing.T, nodes int) *topology.Snapshot {
	t.Helper()
	set := topology.Set{}
	set.Put(&topology.Region{Name: "eu-central-1", Latitude: 50.1, Longitude: 8.7})
	set.Put(&topology.Region{Name: "us-east-1", Latitude: 38.9, Longitude: -77.4})
	set.Put(&topology.Edge{Name: "edge-eu", Region: "eu-central-1", Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.1")}})
	set.Put(&topology.Pool{Name: "mcp", Protocol: "mcp"})
	set.Put(&topology.Route{Name: "mcp", PathPrefix: "/mcp", Hosts: []string{"mcp.edge.test"}, Pool: "mcp"})
	for i := range nodes {
		set.Put(&topology.Node{Name: topology.NodeID(fmt.Sprintf("n-%05d", i)), Pool: "mcp", Region: "eu-central-1", Address: fmt.Sprintf("192.0.2.7:%d", 1000+i),
			Leaving: i == 1, Load: &topology.Load{InFlight: 2, Sessions: 3}})
	}
	snap, problems := topology.Build(7, set)
	if len(problems) > 0 {
		t.Fatalf("the fixture: %v", problems)
	}
	return snap
}

// ask calls a tool; to gets the structured answer. The text of a tool's error is returned.
func askTool(t *testing.T, s *mcp.ClientSession, tool string, args map[string]any, to any) (toolErr string) {
	t.Helper()
	res, err := s.CallTool(t.Context(), &mcp.CallToolParams{Name: tool, Arguments: args})
	if err != nil {
		return err.Error()
	}
	if res.IsError {
		return textOf(res)
	}
	if err := remarshal(res.StructuredContent, to); err != nil {
		t.Fatalf("%s: %v", tool, err)
	}
	return ""
}

func TestFleetStatusCountsWhatTheTopologyHolds(t *testing.T) {
	snap := smallFleet(t, 3)
	s := start(t, Config{Snapshot: func() *topology.Snapshot { return snap }}).dial(t, modern, nil)
	var f fleet
	if msg := askTool(t, s, "fleet_status", nil, &f); msg != "" {
		t.Fatal(msg)
	}
	if f.Revision != 7 || len(f.Regions) != 2 || len(f.Edges) != 1 || len(f.Nodes) != 3 || f.NodesTotal != 3 {
		t.Errorf("got %+v", f)
	}
	if want := (poolStatus{"mcp", 3, 1, 6, 9}); len(f.Pools) != 1 || f.Pools[0] != want {
		t.Errorf("pools: got %+v, want %+v", f.Pools, want)
	}
	if want := (regionStatus{"eu-central-1", 1, 3}); f.Regions[0] != want {
		t.Errorf("regions: got %+v, want %+v first", f.Regions, want)
	}
}

func TestFleetStatusListsABoundedNumberOfNodes(t *testing.T) {
	f := fleetOf(smallFleet(t, 1000))
	if len(f.Nodes) != maxListed || f.NodesTotal != 1000 || f.Pools[0].Nodes != 1000 {
		t.Errorf("got %d nodes listed of %d, pool of %d", len(f.Nodes), f.NodesTotal, f.Pools[0].Nodes)
	}
}

func TestWithoutATopologyTheToolsSaySo(t *testing.T) {
	s := start(t, Config{}).dial(t, legacy, nil)
	for tool, args := range map[string]map[string]any{"fleet_status": nil, "explain_route": {"method": "GET", "url": "http://a/"}} {
		if msg := askTool(t, s, tool, args, nil); !strings.Contains(msg, "no topology") {
			t.Errorf("%s: got %q, want an error that says why", tool, msg)
		}
	}
}

func TestExplainRouteNamesRoutePoolAndNodes(t *testing.T) {
	snap := smallFleet(t, 2)
	s := start(t, Config{Snapshot: func() *topology.Snapshot { return snap }}).dial(t, modern, nil)
	for url, want := range map[string]bool{
		"http://mcp.edge.test/mcp": true, "https://MCP.edge.test.:8443/mcp/x?y=1": true, "http://mcp.edge.test": false, "http://other.test/mcp": false,
	} {
		var a routeAnswer
		if msg := askTool(t, s, "explain_route", map[string]any{"method": "post", "url": url}, &a); msg != "" {
			t.Errorf("%s: %s", url, msg)
		}
		if a.Matched != want || a.Why == "" || (want && (a.Route != "mcp" || a.Pool != "mcp" || len(a.Nodes) != 2)) {
			t.Errorf("%s: got %+v, want matched %v", url, a, want)
		}
	}
}

func TestLocateIPTellsThePlace(t *testing.T) {
	s := start(t, Config{Locate: geo.Embedded().Locate}).dial(t, modern, nil)
	var a locateAnswer
	if msg := askTool(t, s, "locate_ip", map[string]any{"ip": "81.2.69.160"}, &a); msg != "" || a.Country != "GB" || !a.Known || a.Prefix == "" {
		t.Errorf("got %+v, %s; want GB", a, msg)
	}
	a = locateAnswer{}
	if msg := askTool(t, s, "locate_ip", map[string]any{"ip": "127.0.0.1"}, &a); msg != "" || a.Known {
		t.Errorf("loopback: got %+v, %s; want it unknown", a, msg)
	}
}

func TestBadArgumentsAreRefusedByName(t *testing.T) {
	snap := smallFleet(t, 1)
	s := start(t, Config{Locate: geo.Embedded().Locate, Snapshot: func() *topology.Snapshot { return snap }}).dial(t, legacy, nil)
	for _, c := range []struct {
		tool string
		args map[string]any
		want string
	}{
		{"echo", map[string]any{"text": "x", "delay_ms": 60001}, "delay_ms"},
		{"echo", map[string]any{"text": "x", "delay_ms": -1}, "delay_ms"},
		{"echo", map[string]any{"text": strings.Repeat("x", maxTextBytes+1)}, "text"},
		{"echo", map[string]any{}, "text"},
		{"echo", map[string]any{"text": "x", "color": "red"}, "color"},
		{"locate_ip", map[string]any{"ip": "nowhere"}, "ip"},
		{"locate_ip", map[string]any{"ip": strings.Repeat("1", 1000)}, "ip"},
		{"explain_route", map[string]any{"method": "", "url": "http://a/"}, "method"},
		{"explain_route", map[string]any{"method": "GET", "url": "/mcp"}, "url"},
		{"explain_route", map[string]any{"method": "GET", "url": "http://a/" + strings.Repeat("x", maxURLBytes)}, "url"},
	} {
		if msg := askTool(t, s, c.tool, c.args, nil); !strings.Contains(msg, c.want) || len(msg) > 400 {
			t.Errorf("%s: got %.200q, want an error that names %s", c.tool, msg, c.want)
		}
	}
}

func FuzzParseRequest(f *testing.F) {
	for _, u := range []string{"http://mcp.edge.test/mcp", "https://[::1]:8080", "http://a..b./%2f", "://", "http://A.B:x/"} {
		f.Add("GET", u)
	}
	f.Fuzz(func(t *testing.T, method, u string) {
		m, host, path, err := parseRequest(routeArgs{method, u})
		if err != nil {
			if len(err.Error()) > 500 {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
			return
		}
		if m != strings.ToUpper(method) || host == "" || host != strings.ToLower(host) || path == "" || strings.Contains(path, "?") {
			t.Errorf("%q %q: got %q %q %q", method, u, m, host, path)
		}
	})
}
