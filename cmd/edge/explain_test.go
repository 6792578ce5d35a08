// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"meridian/admin"
	"meridian/topology"
)

func TestTheTablesOfExplainDNS(t *testing.T) {
	x := admin.DNSExplanation{
		Name: "mcp.test", Pool: "mcp", From: netip.MustParseAddr("81.2.69.160"), Edge: "edge-eu", Revision: 7, Region: "eu",
		Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")}, Scope: netip.MustParsePrefix("81.2.0.0/16"),
		TTL: topology.Duration(10 * time.Second), Why: "it is the nearest region that can serve",
		Place: admin.PlaceExplanation{Known: true, Country: "GB", Continent: "EU", Latitude: 51.5, Longitude: -0.13, Source: "embedded"},
		Regions: []admin.RegionExplanation{
			{Region: "eu", DistanceKm: 636.7, CanServe: true, Reason: "2 of 2 nodes up, 1 edge up", Chosen: true},
			{Region: "us", DistanceKm: -1, Reason: "the region has no edge"},
		},
	}
	want := `name     mcp.test (pool mcp)
client   81.2.69.160: GB, EU, at 51.5, -0.1 (embedded)
region   eu
answer   192.0.2.1 192.0.2.2 for 10s, the same for all of 81.2.0.0/16
why      it is the nearest region that can serve
seen by  edge-eu at revision 7

REGION  DISTANCE  SERVES  CHOSEN  WHY
eu      637 km    yes     yes     2 of 2 nodes up, 1 edge up
us      -         no      no      the region has no edge
`
	if diff := cmp.Diff(want, table(t, func(p *printer) { printDNS(p, x) })); diff != "" {
		t.Error(diff)
	}
	if got := place(admin.PlaceExplanation{Source: "embedded"}); got != "place unknown (embedded)" {
		t.Errorf("an unknown place: %q", got)
	}
}

func TestTheTablesOfExplainHTTP(t *testing.T) {
	x := admin.HTTPExplanation{
		Method: "POST", Host: "mcp.test", Path: "/mcp", Edge: "edge-eu", Revision: 7, Route: "mcp", Pool: "mcp", Node: "n-1", Why: "the host is the route's",
		Nodes: []admin.NodeExplanation{
			{Node: "n-1", Region: "eu", Health: "up", InFlight: 1, Streams: 2, Weight: 100, Eligible: true, Chosen: true, Reason: "less loaded"},
			{Node: "n-2", Region: "us", Tier: 1, Health: "down", Weight: 50, Reason: "down"},
		},
	}
	want := `request  POST mcp.test/mcp
route    mcp
pool     mcp
node     n-1
why      the host is the route's
seen by  edge-eu at revision 7

NODE  REGION  TIER  HEALTH  IN FLIGHT  STREAMS  WEIGHT  ELIGIBLE  CHOSEN  WHY
n-1   eu      0     up      1          2        100     yes       yes     less loaded
n-2   us      1     down    0          0        50      no        no      down
`
	if diff := cmp.Diff(want, table(t, func(p *printer) { printHTTP(p, x) })); diff != "" {
		t.Error(diff)
	}
	x = admin.HTTPExplanation{Method: "GET", Host: "other.test", Path: "/", Edge: "edge-eu", Why: "no route takes this host, path and method: 404"}
	want = `request  GET other.test/
route    -
pool     -
node     -
why      no route takes this host, path and method: 404
seen by  edge-eu at revision 0
`
	if diff := cmp.Diff(want, table(t, func(p *printer) { printHTTP(p, x) })); diff != "" {
		t.Error(diff)
	}
}
