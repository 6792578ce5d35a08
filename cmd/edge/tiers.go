// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"

	"meridian/admin"
	"meridian/balancer"
)

// printTiers prints how the tiers of a pool stand, by which policy their nodes are chosen, and how each node does.
func printTiers(p *printer, x admin.HTTPExplanation) {
	if len(x.Tiers) == 0 {
		return
	}
	printTierTable(p, x.Tiers)
	p.line("")
	p.head("NODE", "LOAD", "HOT", "SCORE", "LIMIT", "SLOW START")
	for _, n := range x.Nodes {
		limit := "-"
		if n.Limit > 0 {
			limit = fmt.Sprint(n.Limit)
		}
		p.row(string(n.Node), fmt.Sprint(n.RIF), yes(n.Hot), fmt.Sprint(n.Score), limit, yes(n.SlowStart))
	}
}

// printTierTable prints how tiers stand, if there are any.
func printTierTable(p *printer, tiers []balancer.TierStats) {
	if len(tiers) == 0 {
		return
	}
	p.line("")
	p.head("TIER", "REGION", "ZONE", "POLICY", "SHARE", "ROOM", "NODES", "UP", "HOT ABOVE", "PANIC")
	for _, t := range tiers {
		p.row(fmt.Sprint(t.Tier), string(t.Region), dash(t.Zone), string(t.Policy), percent(t.Share), percent(t.A), fmt.Sprint(t.Nodes), fmt.Sprint(t.Up),
			fmt.Sprint(t.Theta), panicName(t.Panic))
	}
}

func percent(v float64) string { return fmt.Sprintf("%.0f %%", 100*v) }

func panicName(level int) string {
	switch level {
	case 0:
		return "no"
	case 1:
		return "bans are ignored"
	}
	return "bans and checks are ignored"
}

// writeTiers writes how the tiers of all pools stand in Prometheus' text format.
func writeTiers(w io.Writer, tiers []balancer.TierStats) {
	for _, t := range tiers {
		labels := fmt.Sprintf("pool=%q,region=%q,zone=%q", t.Pool, t.Region, t.Zone)
		for _, s := range []struct {
			state string
			n     int
		}{{"up", t.Up}, {"overflow", t.Overflow}, {"unknown", t.Unknown}, {"ejected", t.Ejected}, {"down", t.Down}, {"refused", t.Refused}, {"slow_start", t.SlowStart}} {
			fmt.Fprintf(w, "meridian_tier_nodes{%s,state=%q} %d\n", labels, s.state, s.n)
		}
		for _, s := range []struct {
			name string
			v    float64
		}{{"share", t.Share}, {"room", t.A}, {"panic", float64(t.Panic)}, {"in_flight", float64(t.InFlight)}, {"hot_above", t.Theta}, {"speed_ratio", t.Speed}} {
			fmt.Fprintf(w, "meridian_tier_%s{%s} %v\n", s.name, labels, s.v)
		}
	}
}
