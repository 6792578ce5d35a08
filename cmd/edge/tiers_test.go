// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"text/tabwriter"
	"time"

	"meridian/admin"
	"meridian/balancer"
	"meridian/topology"
)

func TestTiersAreMetricsAndExplained(t *testing.T) {
	tiers := []balancer.TierStats{{
		Pool: "mcp", Policy: topology.PolicyLatency, Region: "eu", Zone: "a", Share: 0.7, A: 0.7, Nodes: 4, Up: 3, Ejected: 2, Panic: 1, InFlight: 5, Theta: 2.5, Speed: 1.2,
	}}
	var b strings.Builder
	writeTiers(&b, tiers)
	for _, want := range []string{
		`meridian_tier_nodes{pool="mcp",region="eu",zone="a",state="ejected"} 2` + "\n", `meridian_tier_share{pool="mcp",region="eu",zone="a"} 0.7` + "\n",
		`meridian_tier_panic{pool="mcp",region="eu",zone="a"} 1` + "\n",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %s in\n%s", want, b.String())
		}
	}
	b.Reset()
	p := &printer{tw: tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)}
	printTiers(p, admin.HTTPExplanation{Tiers: tiers, Nodes: []admin.NodeExplanation{{Node: "n1", RIF: 3, Hot: true, Score: 1.1, Limit: 7}, {Node: "n2"}}})
	p.tw.Flush()
	for _, want := range []string{"70 %", "bans are ignored", "n1", "yes", "1.1", "7"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
}

// TestUpkeepTellsTheTimeAndMakesTables runs both for a second of virtual time: a request that hangs must show, and a table must be made.
func TestUpkeepTellsTheTimeAndMakesTables(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		set := topology.Set{}
		set.Put(&topology.Region{Name: "a"})
		set.Put(&topology.Pool{Name: "p", Policy: topology.PolicyWeightedRoundRobin})
		for _, n := range []topology.NodeID{"n1", "n2", "n3"} {
			set.Put(&topology.Node{Name: n, Pool: "p", Region: "a", Address: "127.0.0.1:1"})
		}
		snap, _ := topology.Build(1, set)
		s := &server{table: balancer.NewTable()}
		s.upkeep.init(s.table, func(time.Time) {}, func([]topology.NodeID) {})
		s.upkeep.submit(s.table.Apply(snap, nil))
		s.upkeep.submit(nil)
		for _, n := range snap.Nodes {
			s.table.SetStanding(n.Name, balancer.StandingUp)
		}
		if _, err := s.table.Bind("n1", time.Now()); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 2)
		go func() { done <- s.upkeep.run(ctx) }()
		go func() { done <- s.upkeep.tick(ctx) }()
		time.Sleep(10 * time.Second)
		if s.table.Availability() == nil {
			t.Error("nobody has told the balancer the time")
		}
		for _, c := range s.table.Explain("p") {
			if (c.Node == "n1") != (c.Score > 5) {
				t.Errorf("a request hangs on n1, and %+v", c)
			}
		}
		if s.table.Apply(snap, nil) != nil {
			t.Error("the table was not made")
		}
		cancel()
		<-done
		<-done
	})
}
