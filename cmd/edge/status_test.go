// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"meridian/admin"
	"meridian/topology"
)

func oneStatus() admin.Status {
	return admin.Status{
		Edge: "edge-eu", Region: "eu", Ready: true,
		Topology: admin.TopologyStatus{Source: "etcd", Revision: 41},
		Regions: []admin.RegionStatus{
			{Name: "eu", Edges: topology.PoolView{Up: 1, Total: 1}, Pools: map[topology.PoolID]admin.RegionPoolStatus{
				"web": {CanServe: true, Reason: "1 of 1 nodes up, 1 edge up"}, "mcp": {CanServe: false, Reason: "no node of pool mcp is up"},
			}},
			{Name: "us", Edges: topology.PoolView{Up: 0, Total: 1}, Pools: map[topology.PoolID]admin.RegionPoolStatus{"mcp": {Reason: "edge edge-us: connect refused"}}},
		},
		Edges: []admin.EdgeStatus{
			{Name: "edge-eu", Region: "eu", Self: true, Health: "up", Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")}, HTTP: "192.0.2.1:80", Revision: 41},
			{Name: "edge-us", Region: "us", Health: "down", Reason: "connect refused", Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.2")}, Revision: 40, Stale: true},
		},
		Pools: []admin.PoolStatus{
			{Name: "mcp", Protocol: "mcp", Up: 1, Total: 3, Regions: map[topology.RegionID]topology.PoolView{"us": {Up: 1, Total: 1}, "eu": {Total: 2}}},
			{Name: "web", Protocol: "http"},
		},
		Nodes: []admin.NodeStatus{
			{Name: "n-1", Pool: "mcp", Region: "eu", Address: "192.0.2.9:7001", Health: "up", InFlight: 2, Streams: 1, Sessions: 3, Drain: "draining",
				Load: &topology.Load{InFlight: 5, Sessions: 8, CPU: 0.256}},
			{Name: "n-2", Pool: "mcp", Region: "us", Address: "192.0.2.9:7002", Health: "down", Reason: "timeout after 300ms (says edge-us)"},
		},
		Refused: []topology.Refusal{{Mistake: topology.Mistake{Key: topology.Key{Kind: "pools", Name: "x"}, Message: "it is not JSON"}, Using: "nothing"}},
	}
}

func TestTheTablesOfStatus(t *testing.T) {
	st := oneStatus()
	want := `edge edge-eu in eu, ready, up ?
topology revision 41 from etcd

REGION  EDGES UP  POOL  SERVES  WHY
eu      1/1       mcp   no      no node of pool mcp is up
                  web   yes     1 of 1 nodes up, 1 edge up
us      0/1       mcp   no      edge edge-us: connect refused

EDGE     REGION  HEALTH       REVISION  ADDRESSES              HTTP          WHY
edge-eu  eu      up           41        192.0.2.1 2001:db8::1  192.0.2.1:80  -
edge-us  us      down, stale  40        192.0.2.2              -             connect refused

POOL  PROTOCOL  UP   BY REGION
mcp   mcp       1/3  eu 0/2, us 1/1
web   http      0/0  -

NODE  POOL  REGION  ADDRESS         HEALTH  IN FLIGHT  STREAMS  SESSIONS  CPU  DRAIN     WHY
n-1   mcp   eu      192.0.2.9:7001  up      2 of 5     1        3 of 8    26%  draining  -
n-2   mcp   us      192.0.2.9:7002  down    0          0        0         -    -         timeout after 300ms (says edge-us)

REFUSED VALUE  FIELD  WHY             IN USE
pools/x        -      it is not JSON  nothing
`
	if diff := cmp.Diff(want, table(t, func(p *printer) { printStatus(p, st) })); diff != "" {
		t.Error(diff)
	}
}

func TestStatusSaysWhatIsWrongAtItsTop(t *testing.T) {
	st := admin.Status{Edge: "edge-eu", Region: "eu", Reason: "there is no topology yet",
		Topology: admin.TopologyStatus{Source: "the last good topology on disk", Revision: 41, Stale: true, Detail: "etcd does not answer"}}
	want := `edge edge-eu in eu, not ready: there is no topology yet, up ?
topology revision 41 from the last good topology on disk, STALE for ?: etcd does not answer

REGION  EDGES UP  POOL  SERVES  WHY

EDGE  REGION  HEALTH  REVISION  ADDRESSES  HTTP  WHY

POOL  PROTOCOL  UP  BY REGION

NODE  POOL  REGION  ADDRESS  HEALTH  IN FLIGHT  STREAMS  SESSIONS  CPU  DRAIN  WHY
`
	if diff := cmp.Diff(want, table(t, func(p *printer) { printStatus(p, st) })); diff != "" {
		t.Error(diff)
	}
}
