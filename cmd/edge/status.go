// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"meridian/admin"
	"meridian/topology"
)

func statusCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Show regions, edges, pools and nodes: health, load, drain state",
		RunE: func(c *cobra.Command, _ []string) error {
			st, err := o.adminClient().Status(c.Context())
			if err != nil {
				return err
			}
			return o.print(c.OutOrStdout(), st, func(p *printer) { printStatus(p, st) })
		},
	}
}

func printStatus(p *printer, st admin.Status) {
	p.line(fmt.Sprintf("edge %s in %s, %s, up %s", st.Edge, st.Region, readiness(st), age(st.Started)))
	p.line(topologyLine(st.Topology))
	printRegions(p, st)
	printEdges(p, st)
	printPools(p, st)
	printNodes(p, st)
	if len(st.Refused) > 0 {
		p.line("")
		p.head("REFUSED VALUE", "FIELD", "WHY", "IN USE")
		for _, r := range st.Refused {
			p.row(r.Key.String(), dash(r.Field), r.Message, r.Using)
		}
	}
}

func readiness(st admin.Status) string {
	if st.Ready {
		return "ready"
	}
	return "not ready: " + st.Reason
}

func topologyLine(t admin.TopologyStatus) string {
	s := fmt.Sprintf("topology revision %d from %s", t.Revision, t.Source)
	if t.Stale {
		s += fmt.Sprintf(", STALE for %s: %s", age(t.Since), t.Detail)
	}
	if t.Alarm != "" {
		s += "\nALARM: " + t.Alarm
	}
	return s
}

func printRegions(p *printer, st admin.Status) {
	p.line("")
	p.head("REGION", "EDGES UP", "POOL", "SERVES", "WHY")
	for _, r := range st.Regions {
		first := true
		for _, pool := range slices.Sorted(maps.Keys(r.Pools)) {
			name, edges := "", ""
			if first {
				name, edges, first = string(r.Name), fmt.Sprintf("%d/%d", r.Edges.Up, r.Edges.Total), false
			}
			serves := "yes"
			if !r.Pools[pool].CanServe {
				serves = "no"
			}
			p.row(name, edges, string(pool), serves, r.Pools[pool].Reason)
		}
	}
}

func printEdges(p *printer, st admin.Status) {
	p.line("")
	p.head("EDGE", "REGION", "HEALTH", "REVISION", "ADDRESSES", "HTTP", "WHY")
	for _, e := range st.Edges {
		health := e.Health
		if e.Stale {
			health += ", stale"
		}
		var addrs []string
		for _, a := range e.Addresses {
			addrs = append(addrs, a.String())
		}
		p.row(string(e.Name), string(e.Region), health, fmt.Sprint(e.Revision), strings.Join(addrs, " "), dash(e.HTTP), dash(e.Reason))
	}
}

func printPools(p *printer, st admin.Status) {
	p.line("")
	p.head("POOL", "PROTOCOL", "UP", "BY REGION")
	for _, pool := range st.Pools {
		var by []string
		for _, r := range slices.Sorted(maps.Keys(pool.Regions)) {
			by = append(by, fmt.Sprintf("%s %d/%d", r, pool.Regions[r].Up, pool.Regions[r].Total))
		}
		p.row(string(pool.Name), string(pool.Protocol), fmt.Sprintf("%d/%d", pool.Up, pool.Total), dash(strings.Join(by, ", ")))
	}
}

func printNodes(p *printer, st admin.Status) {
	p.line("")
	p.head("NODE", "POOL", "REGION", "ADDRESS", "HEALTH", "IN FLIGHT", "STREAMS", "SESSIONS", "CPU", "DRAIN", "WHY")
	for _, n := range st.Nodes {
		p.row(string(n.Name), string(n.Pool), string(n.Region), n.Address, n.Health,
			reported(n.InFlight, n.Load, func(l *topology.Load) int { return l.InFlight }), fmt.Sprint(n.Streams),
			reported(n.Sessions, n.Load, func(l *topology.Load) int { return l.Sessions }), cpu(n.Load), dash(n.Drain), dash(n.Reason))
	}
}

// reported shows what this edge has at a node and, where the node reports it, what it has in all: "2 of 5". A report is
// older than the count, so that it may be the smaller one.
func reported(own int, l *topology.Load, all func(*topology.Load) int) string {
	if l == nil {
		return fmt.Sprint(own)
	}
	return fmt.Sprintf("%d of %d", own, max(own, all(l)))
}

func cpu(l *topology.Load) string {
	if l == nil {
		return "-"
	}
	return fmt.Sprintf("%.0f%%", l.CPU*100)
}

func age(t time.Time) string {
	if t.IsZero() {
		return "?"
	}
	return time.Since(t).Round(time.Second).String()
}
