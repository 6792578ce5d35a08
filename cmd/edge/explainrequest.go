// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"meridian/admin"
	"meridian/balancer"
)

func explainRequestCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "request ID",
		Short: "Explain where one request went, or is, and why",
		Long: "request asks one edge for a request by the id that is in X-Request-Id and in the access log: any that is under way, and for ten\n" +
			"minutes those that were sent with X-Edge-Explain: 1 by who may (explain in edge.yaml).",
		Example: "  curl -si -H 'X-Edge-Explain: 1' http://127.0.0.1:8080/ | grep -i x-edge-explain\n  edge explain request 5b0cf1f4-2b0d-4f0e-9d6c-0f0f5a1d2c3b",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			found, err := o.adminClient().ExplainRequest(c.Context(), args[0])
			if err != nil {
				return err
			}
			return o.print(c.OutOrStdout(), found, func(p *printer) {
				for i, x := range found {
					if i > 0 {
						p.line("")
					}
					printRequest(p, x)
				}
			})
		},
	}
}

// explainRequest is what is known of the requests with an id.
func (s *server) explainRequest(id string) []admin.RequestExplanation {
	var out []admin.RequestExplanation
	for _, x := range s.proxy.ExplainRequest(id) {
		e := admin.RequestExplanation{
			ID: x.ID, Edge: s.cfg.Name, Received: x.Received, Method: x.Method, Host: x.Host, Path: x.Path, Route: x.Route, Pool: x.Pool,
			State: x.State, Status: x.Status, Took: x.Took, BytesOut: x.BytesOut, Err: x.Err, Attempts: []admin.AttemptExplanation{},
		}
		for _, a := range x.Attempts {
			e.Attempts = append(e.Attempts, admin.AttemptExplanation{
				Pick: a.Why, Why: a.Short, End: a.End, Tiers: a.Tiers, Candidates: a.Candidates, LeftOut: a.LeftOut,
			})
		}
		out = append(out, e)
	}
	return out
}

func printRequest(p *printer, x admin.RequestExplanation) {
	p.row("request", fmt.Sprintf("%s %s%s", x.Method, x.Host, x.Path))
	p.row("id", x.ID)
	p.row("state", fmt.Sprintf("%s after %s, %d bytes of the answer's body sent", x.State, x.Took.Round(time.Millisecond), x.BytesOut))
	if x.Status != 0 {
		p.row("status", fmt.Sprint(x.Status))
	}
	if x.Err != "" {
		p.row("error", x.Err)
	}
	p.row("route", dash(string(x.Route)))
	p.row("pool", dash(string(x.Pool)))
	p.row("seen by", string(x.Edge))
	for i, a := range x.Attempts {
		p.line("")
		p.row(fmt.Sprintf("try %d", i+1), fmt.Sprintf("%s: %s", a.Pick.Node, a.Why))
		p.row("load", fmt.Sprintf("%v with this one, hot %s, score %v", a.Pick.RIF, yes(a.Pick.Hot), a.Pick.Score))
		if a.End != "" {
			p.row("failed", a.End)
		}
		printFound(p, a.Tiers, a.Candidates)
		if a.LeftOut > 0 {
			p.line(fmt.Sprintf("and %d more nodes", a.LeftOut))
		}
	}
}

// printFound prints what a pick has found: the tiers, and the nodes that it had to choose from.
func printFound(p *printer, tiers []balancer.TierStats, nodes []balancer.Candidate) {
	printTierTable(p, tiers)
	if len(nodes) == 0 {
		return
	}
	p.line("")
	p.head("NODE", "TIER", "HEALTH", "IN FLIGHT", "LOAD", "HOT", "SCORE", "ELIGIBLE", "WHY")
	for _, n := range nodes {
		p.row(string(n.Node), fmt.Sprint(n.Tier), n.Standing.String(), fmt.Sprint(n.InFlight), fmt.Sprint(n.RIF), yes(n.Hot), fmt.Sprint(n.Score), yes(n.Eligible), n.Reason)
	}
}
