// SPDX-License-Identifier: Apache-2.0

package dev

import (
	"fmt"
	"net"
	"strings"
)

// printReady says that everything is up and what to try.
func (s *Supervisor) printReady() {
	p, e := s.plan, s.plan.Edges[0]
	var b strings.Builder
	if p.OwnPorts {
		b.WriteString("\nThis machine has one loopback address only, so each region has its own ports.\n")
	}
	fmt.Fprintf(&b, "\nready: %d regions, %d edges, %d workers; data in %s\n\n", len(p.Regions), len(p.Edges), len(p.Edges)*p.Workers, p.DataDir)
	fmt.Fprintf(&b, "  %-16s %-22s %-22s %s\n", "REGION", "HTTP", "DNS (UDP, TCP)", "ADMIN, METRICS")
	for _, e := range p.Edges {
		fmt.Fprintf(&b, "  %-16s %-22s %-22s %s\n", e.Region, "http://"+e.HTTP, e.DNS, "http://"+e.Admin)
	}
	host, port, _ := net.SplitHostPort(e.DNS)
	fmt.Fprintf(&b, "\nTry, in another terminal:\n\n")
	fmt.Fprintf(&b, "  curl -s http://%s/healthz\n", e.HTTP)
	fmt.Fprintf(&b, "  dig @%s -p %s mcp.edge.test A +subnet=81.2.69.0/24\n", host, port)
	for _, args := range []string{
		"status", "explain dns mcp.edge.test --from 81.2.69.160", "explain http POST http://mcp.edge.test/mcp", "dev ps",
	} {
		fmt.Fprintf(&b, "  %s %s\n", s.programs.Edge, args)
	}
	if len(e.Workers) > 0 {
		fmt.Fprintf(&b, "  %s drain node/%s --wait --deadline 1m\n", s.programs.Edge, e.Workers[0])
		fmt.Fprintf(&b, "  %s dev stop %s\n", s.programs.Edge, e.Workers[0])
	}
	fmt.Fprintf(&b, "\nCtrl-C ends everything.\n")
	s.say("%s", strings.TrimSuffix(b.String(), "\n"))
}
