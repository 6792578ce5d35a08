// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"fmt"
	"math/rand/v2"
	"time"

	"meridian/balancer"
	"meridian/topology"
)

// Explanation says where a request would go now, and why.
type Explanation struct {
	Method     string               `json:"method"`
	Host       string               `json:"host"`
	Path       string               `json:"path"`
	Route      topology.RouteID     `json:"route,omitempty"`
	Pool       topology.PoolID      `json:"pool,omitempty"`
	Why        string               `json:"why"`
	Tiers      []balancer.TierStats `json:"tiers,omitempty"`
	Candidates []balancer.Candidate `json:"candidates,omitempty"`
	// Chosen is a node that the pick returned just now. Picks draw lots: the next one may return another.
	Chosen topology.NodeID `json:"chosen,omitempty"`
}

// Explain says where a request would go. Nothing is sent, but the pick counts for Capacity.RPS. host may have a port. Safe for
// concurrent use.
func (s *Server) Explain(method, host, path string) Explanation {
	e := Explanation{Method: method, Host: host, Path: path}
	snap := s.cfg.Snapshot()
	route := snap.Match(method, hostKey(host), path)
	if route == nil {
		e.Why = "no route takes this host, path and method: 404"
		return e
	}
	e.Route, e.Pool = route.Name, route.Pool
	e.Why = routeReason(route, hostKey(host))
	e.Tiers = s.cfg.Table.Tiers(route.Pool)
	e.Candidates = s.cfg.Table.Explain(route.Pool)
	lease, err := s.cfg.Table.Pick(balancer.Request{Pool: route.Pool, Route: s.cfg.Table.Route(route.Name), Now: time.Now(), Rand: rand.Uint64()})
	if err != nil {
		e.Why += "; " + err.Error() + ": 503"
		return e
	}
	e.Chosen = lease.Node().Name
	lease.Done(time.Now())
	if p := snap.Pool(route.Pool); p != nil && p.Protocol == topology.ProtocolMCP {
		e.Why += "; a request of a session goes to the session's worker instead"
	}
	return e
}

func routeReason(r *topology.Route, host string) string {
	prefix := r.PathPrefix
	if prefix == "" {
		prefix = "/"
	}
	switch {
	case len(r.Hosts) == 0:
		return fmt.Sprintf("route %s takes any host and paths below %s", r.Name, prefix)
	default:
		return fmt.Sprintf("route %s names the host %s and takes paths below %s", r.Name, host, prefix)
	}
}
