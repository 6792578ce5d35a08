// SPDX-License-Identifier: Apache-2.0

package balancer

import (
	"strings"
	"testing"

	"meridian/topology"
)

// crowd has that many requests wait on a node.
func crowd(t *testing.T, tab *Table, id topology.NodeID, n int) {
	t.Helper()
	for range n {
		if _, err := tab.Bind(id, now); err != nil {
			t.Fatal(err)
		}
	}
}

// TestACrowdedZoneIsRelievedByItsRegion has an edge in zone a, whose nodes have no capacity that would say when to spill.
func TestACrowdedZoneIsRelievedByItsRegion(t *testing.T) {
	cases := map[string]struct {
		zone, rest int // in flight on each node of the zone, and of the rest of the region
		leaves     bool
	}{
		"nothing waits":                         {2, 0, false},
		"less than half elsewhere":              {3, 0, true},
		"just half is not enough":               {3, 1, false},
		"much in flight everywhere":             {90, 60, false},
		"twice as much in flight as elsewhere":  {90, 40, true},
		"the rest of the region is crowded too": {4, 9, false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			far := in("us", "u") // never relieves: it is another region
			tab := zonedTable(t, zoned("a1", "a", 0), zoned("a2", "a", 0), zoned("b1", "b", 0), zoned("c1", "c", 0), far)
			for id, n := range map[topology.NodeID]int{"a1": c.zone, "a2": c.zone, "b1": c.rest, "c1": c.rest} {
				crowd(t, tab, id, n)
			}
			l := mustPick(t, tab, Request{})
			why := l.Why()
			if left := l.Node().Zone != "a"; left != c.leaves || left != strings.Contains(why.String(), " relief") {
				t.Errorf("picked %s: %s", l.Node().Name, &why)
			}
			l.Done(now)
			for _, e := range tab.Explain("p") {
				if want := e.Node[0] == 'a' || c.leaves && e.Node != "u"; e.Eligible != want {
					t.Errorf("explained: %s eligible %t, %s", e.Node, e.Eligible, e.Reason)
				}
			}
		})
	}
}

// TestWeightsCountWhereAZoneIsRelieved has the rest's nodes be ten times as large as the zone's.
func TestWeightsCountWhereAZoneIsRelieved(t *testing.T) {
	large := func(n *topology.Node) *topology.Node { n.Weight = 10; return n }
	tab := zonedTable(t, zoned("a1", "a", 0), large(zoned("b1", "b", 0)))
	crowd(t, tab, "a1", 4)
	crowd(t, tab, "b1", 20)
	if l := mustPick(t, tab, Request{}); l.Node().Name != "b1" {
		t.Errorf("5 for a weight of 1 or 21 for one of 10: picked %s", l.Node().Name)
	}
	crowd(t, tab, "b1", 30)
	if l := mustPick(t, tab, Request{}); l.Node().Name != "a1" {
		t.Errorf("5 for a weight of 1 or 51 for one of 10: picked %s", l.Node().Name)
	}
}

// TestAnotherPolicyKeepsToItsZone has what is hashed, or drawn, stay where it belongs.
func TestAnotherPolicyKeepsToItsZone(t *testing.T) {
	for _, p := range []topology.Policy{topology.PolicyLeastRequest, topology.PolicyRandom, topology.PolicyMaglev} {
		tab := zonedTable(t, &topology.Pool{Name: "p", Protocol: topology.ProtocolHTTP, Policy: p}, zoned("a1", "a", 0), zoned("b1", "b", 0))
		crowd(t, tab, "a1", 50)
		if l := mustPick(t, tab, Request{}); l.Node().Name != "a1" {
			t.Errorf("%s picked %s", p, l.Node().Name)
		}
	}
}
