// SPDX-License-Identifier: Apache-2.0

package balancer

import (
	"encoding/json"
	"testing"

	"meridian/topology"

	"github.com/google/go-cmp/cmp"
)

func reasons(tab *Table) map[topology.NodeID]string {
	out := map[topology.NodeID]string{}
	for _, c := range tab.Explain("p") {
		s := c.Reason
		if c.Eligible {
			s = "yes: " + s
		}
		out[c.Node] = s
	}
	return out
}

func TestExplainSaysWhyForEveryNode(t *testing.T) {
	leaving := node("leaving")
	leaving.Leaving = true
	full := &topology.Node{Name: "full", Capacity: topology.Capacity{Connections: 1}}
	tab := table(t, node("a"), node("down"), leaving, node("drained"), drain("drained"), node("cut"), drain("cut"), full, node("new"), in("us", "u"))
	tab.SetStanding("down", StandingDown)
	tab.SetStanding("new", StandingUnknown)
	tab.Cut("cut")
	if _, err := tab.Bind("full", now); err != nil {
		t.Fatal(err)
	}
	want := map[topology.NodeID]string{
		"a":       "yes: can be picked",
		"down":    "down",
		"leaving": "leaving: it has said that it is about to end",
		"drained": "draining since 2026-11-23T12:00:00Z until 2026-11-23T12:01:00Z by ann: new kernel",
		"cut":     "cut at the deadline of its drain",
		"full":    "full: 1 in flight of at most 1",
		"new":     "not yet checked; taken only where no node that is up can be",
		"u":       "region eu comes first",
	}
	if diff := cmp.Diff(want, reasons(tab)); diff != "" {
		t.Error(diff)
	}
	tab.SetStanding("a", StandingDown)
	tab.SetStanding("u", StandingUnknown)
	got := reasons(tab)
	if got["new"] != "yes: can be picked" || got["u"] != "region eu comes first" {
		t.Errorf("with none up: %v", got)
	}
	tab.SetStanding("u", StandingUp)
	if got := reasons(tab); got["u"] != "yes: can be picked" || got["new"] != "not yet checked; taken only where no node that is up can be" {
		t.Errorf("with one up in another region: %v", got)
	}
}

func TestExplainAgreesWithPick(t *testing.T) {
	tab := table(t, in("us", "u"), in("ap", "p"))
	tab.SetStanding("u", StandingDown)
	l := mustPick(t, tab, Request{})
	for _, c := range tab.Explain("p") {
		if c.Eligible != (c.Node == l.Node().Name) {
			t.Errorf("picked %s, explained %+v", l.Node().Name, c)
		}
	}
}

func TestACandidateIsReadableAsJSON(t *testing.T) {
	tab := table(t, node("a"))
	got, err := json.Marshal(tab.Explain("p"))
	if err != nil {
		t.Fatal(err)
	}
	want := `[{"node":"a","region":"eu","address":"10.0.0.0:80","tier":0,"standing":"up","in_flight":0,"streams":0,"weight":1,"rif":0,"score":1,"eligible":true,"reason":"can be picked"}]`
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
