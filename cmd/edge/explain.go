// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"meridian/admin"
)

func explainCommand(o *options) *cobra.Command {
	c := &cobra.Command{Use: "explain", Short: "Explain a decision: which region, route, node, and why"}
	c.AddCommand(explainDNSCommand(o), explainHTTPCommand(o), explainRequestCommand(o))
	return c
}

func explainDNSCommand(o *options) *cobra.Command {
	var from string
	c := &cobra.Command{
		Use:     "dns NAME --from ADDRESS",
		Short:   "Explain which region a client is sent to",
		Example: "  edge explain dns mcp.edge.test --from 81.2.69.160",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if from == "" {
				return misusef("--from is missing; give the client's IP address")
			}
			x, err := o.adminClient().ExplainDNS(c.Context(), args[0], from)
			if err != nil {
				return err
			}
			return o.print(c.OutOrStdout(), x, func(p *printer) { printDNS(p, x) })
		},
	}
	c.Flags().StringVar(&from, "from", "", "the client's IP `ADDRESS`")
	return c
}

func printDNS(p *printer, x admin.DNSExplanation) {
	var addrs []string
	for _, a := range x.Addresses {
		addrs = append(addrs, a.String())
	}
	p.row("name", fmt.Sprintf("%s (pool %s)", x.Name, x.Pool))
	p.row("client", fmt.Sprintf("%s: %s", x.From, place(x.Place)))
	p.row("region", string(x.Region))
	p.row("answer", fmt.Sprintf("%s for %s, the same for all of %s", dash(strings.Join(addrs, " ")), x.TTL, x.Scope))
	p.row("why", x.Why)
	p.row("seen by", fmt.Sprintf("%s at revision %d", x.Edge, x.Revision))
	p.line("")
	p.head("REGION", "DISTANCE", "SERVES", "CHOSEN", "WHY")
	for _, r := range x.Regions {
		p.row(string(r.Region), distance(r.DistanceKm), yes(r.CanServe), yes(r.Chosen), r.Reason)
	}
}

// distance is "-" where no place is known to measure from.
func distance(km float64) string {
	if km < 0 {
		return "-"
	}
	return fmt.Sprintf("%.0f km", km)
}

func place(pl admin.PlaceExplanation) string {
	if !pl.Known {
		return "place unknown (" + pl.Source + ")"
	}
	return fmt.Sprintf("%s, %s, at %.1f, %.1f (%s)", dash(pl.Country), dash(pl.Continent), pl.Latitude, pl.Longitude, pl.Source)
}

func explainHTTPCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use:     "http METHOD URL",
		Short:   "Explain which route, pool and node a request gets",
		Example: "  edge explain http POST http://mcp.edge.test/mcp",
		Args:    cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			x, err := o.adminClient().ExplainHTTP(c.Context(), args[0], args[1])
			if err != nil {
				return err
			}
			return o.print(c.OutOrStdout(), x, func(p *printer) { printHTTP(p, x) })
		},
	}
}

func printHTTP(p *printer, x admin.HTTPExplanation) {
	p.row("request", fmt.Sprintf("%s %s%s", x.Method, x.Host, x.Path))
	p.row("route", dash(string(x.Route)))
	p.row("pool", dash(string(x.Pool)))
	p.row("node", dash(string(x.Node)))
	p.row("why", x.Why)
	p.row("seen by", fmt.Sprintf("%s at revision %d", x.Edge, x.Revision))
	if len(x.Nodes) == 0 {
		return
	}
	p.line("")
	p.head("NODE", "REGION", "TIER", "HEALTH", "IN FLIGHT", "STREAMS", "WEIGHT", "ELIGIBLE", "CHOSEN", "WHY")
	for _, n := range x.Nodes {
		p.row(string(n.Node), string(n.Region), fmt.Sprint(n.Tier), n.Health, fmt.Sprint(n.InFlight), fmt.Sprint(n.Streams),
			fmt.Sprint(n.Weight), yes(n.Eligible), yes(n.Chosen), n.Reason)
	}
	printTiers(p, x)
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
