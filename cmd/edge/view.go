// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"meridian/admin"
	"meridian/balancer"
	"meridian/health"
	"meridian/topology"
)

// The views are what the admin API shows of a running server.

// status is the fleet as this edge sees it.
func (s *server) status() admin.Status {
	o := s.fleet.outlook.Load()
	snap := o.snapshot
	ready, reason := s.ready()
	st := admin.Status{
		Edge: s.cfg.Name, Region: s.cfg.Region, Version: version, Started: s.started, Ready: ready, Reason: reason,
		Topology: s.source.status(), Regions: []admin.RegionStatus{}, Edges: []admin.EdgeStatus{}, Pools: []admin.PoolStatus{},
		Nodes: []admin.NodeStatus{}, Drains: []admin.DrainStatus{}, Refused: s.source.refused(),
	}
	for _, e := range o.edges {
		st.Edges = append(st.Edges, edgeStatus(e, s.cfg.Name, snap.DrainOfEdge(e.Edge.Name) != nil))
	}
	if snap == nil {
		return st
	}
	for _, r := range snap.Regions {
		st.Regions = append(st.Regions, regionStatus(r.Name, snap, o))
	}
	nodes := s.nodeStatuses(snap, o)
	for _, p := range snap.Pools {
		st.Pools = append(st.Pools, poolStatus(p, nodes))
	}
	st.Nodes = append(st.Nodes, nodes...)
	acks := map[string]topology.Ack{}
	for _, a := range s.acks() {
		acks[a.Drain] = a
	}
	for _, d := range snap.Drains {
		st.Drains = append(st.Drains, admin.DrainStatus{Drain: d, Ack: acks[d.Name]})
	}
	return st
}

func edgeStatus(v health.EdgeView, self topology.EdgeID, drained bool) admin.EdgeStatus {
	e := admin.EdgeStatus{
		Name: v.Edge.Name, Region: v.Edge.Region, Self: v.Edge.Name == self, Health: v.Standing.String(), Reason: v.Reason,
		Addresses: v.Edge.Addresses, HTTP: v.Edge.HTTP,
	}
	switch {
	case v.Edge.Leaving:
		e.Health = "leaving"
	case drained:
		e.Health += ", drained"
	}
	if v.Report != nil {
		e.Revision, e.Stale = v.Report.Revision, v.Report.Stale
	}
	return e
}

func regionStatus(r topology.RegionID, snap *topology.Snapshot, o *outlook) admin.RegionStatus {
	out := admin.RegionStatus{Name: r, Pools: map[topology.PoolID]admin.RegionPoolStatus{}}
	for _, e := range o.edges {
		if e.Edge.Region == r {
			out.Edges.Total++
			if e.Standing.CanPick() && !e.Edge.Leaving {
				out.Edges.Up++
			}
		}
	}
	for _, p := range snap.Pools {
		v := o.regions[regionPool{r, p.Name}]
		out.Pools[p.Name] = admin.RegionPoolStatus{CanServe: v.canServe, Reason: v.reason}
	}
	return out
}

func poolStatus(p *topology.Pool, nodes []admin.NodeStatus) admin.PoolStatus {
	out := admin.PoolStatus{Name: p.Name, Protocol: p.Protocol, Regions: map[topology.RegionID]topology.PoolView{}}
	if out.Protocol == "" {
		out.Protocol = topology.ProtocolHTTP
	}
	for _, n := range nodes {
		if n.Pool != p.Name {
			continue
		}
		v := out.Regions[n.Region]
		v.Total++
		out.Total++
		if canPick(n.Health) && n.Drain == "" {
			v.Up++
			out.Up++
		}
		out.Regions[n.Region] = v
	}
	return out
}

func canPick(state string) bool {
	return state == health.Up.String() || state == health.Suspect.String() || state == health.HalfOpen.String()
}

// nodeStatuses joins, for each node, the verdict (this edge's on its own region's nodes and those that it checks, else the reports'), what this
// edge has at it, and its drain.
func (s *server) nodeStatuses(snap *topology.Snapshot, o *outlook) []admin.NodeStatus {
	out := make([]admin.NodeStatus, 0, len(snap.Nodes))
	for _, n := range snap.Nodes {
		l := s.table.Load(n.Name)
		st := admin.NodeStatus{
			Name: n.Name, Pool: n.Pool, Region: n.Region, Zone: n.Zone, Address: n.Address, Live: n.Live,
			InFlight: l.InFlight, Streams: l.Streams, Sessions: s.sessions.Count(n.Name), Load: n.Load, Drain: drainState(snap, n, o),
		}
		st.CheckedBy = s.fleet.checkersOf(n.Name)
		if n.Region == s.cfg.Region || s.fleet.checks(n) {
			v := s.tracker.Verdict(string(n.Name))
			st.Health, st.Since, st.Reason = v.State.String(), v.Since, v.Reason
			st.Latency, st.BanUntil, st.History = topology.Duration(v.Latency), v.BanUntil, s.tracker.History(string(n.Name))
		} else {
			st.Health, st.Reason = reportedHealth(n, o, st.CheckedBy)
			if st.History = o.heard[n.Name]; len(st.History) > 0 {
				st.Since = st.History[len(st.History)-1].At
			}
			if l.Standing == balancer.StandingUnknown && st.Health == health.Up.String() {
				st.Health, st.Reason = health.Unknown.String(), "the edges that check it have not said yet that they know it"
			}
		}
		out = append(out, st)
	}
	return out
}

// reportedHealth is what most of the reports say of a node (health.Majority) that are of its region's edges, or of others that check it.
func reportedHealth(n *topology.Node, o *outlook, checkers []topology.EdgeID) (state, reason string) {
	state, reason = health.Unknown.String(), "no edge that checks it reports"
	up, down, content := 0, 0, topology.EdgeID("")
	for _, e := range o.edges {
		if e.Edge.Region != n.Region && !slices.Contains(checkers, e.Edge.Name) || e.Report == nil || e.Standing == health.Down {
			continue
		}
		brief, against := e.Report.Nodes[n.Name]
		if !against {
			if up++; up == 1 {
				content = e.Edge.Name
			}
			continue
		}
		if stateOf(brief) != health.Unknown.String() {
			down++
		}
		_, why, _ := strings.Cut(brief, ": ")
		state, reason = stateOf(brief), fmt.Sprintf("%s (says %s)", dash(why), e.Edge.Name)
	}
	if up > 0 && !health.Majority(up, down) {
		return health.Up.String(), "says " + string(content)
	}
	return state, reason
}

// drainState sums up the words of all edges on a node's drain: it is drained when each edge that is up has said that
// nothing is in flight there and no stream is open, and cut when one of them has cut something.
func drainState(snap *topology.Snapshot, n *topology.Node, o *outlook) string {
	d := snap.DrainOf(n.Name)
	if d == nil {
		if n.Leaving {
			return "leaving"
		}
		return ""
	}
	state := "drained"
	for _, e := range o.edges {
		if e.Standing == health.Down {
			continue
		}
		switch a := e.Report.Ack(d.Name); {
		case a == nil || !a.Quiet():
			return "draining"
		case a.Cut > 0:
			state = "cut"
		}
	}
	return state
}

// list is `edge get`.
func (s *server) list(k topology.Kind) []admin.Item {
	items := []admin.Item{}
	for _, r := range s.store.Load().List(k) {
		it := admin.Item{Kind: k, Name: r.Key().Name, Value: r}
		switch r := r.(type) {
		case *topology.Node:
			it.Live = r.Live
		case *topology.Edge:
			it.Live = r.Live
		}
		items = append(items, it)
	}
	return items
}

// explainDNS is why a client gets the answer that it gets; the answer itself comes from the same function.
func (s *server) explainDNS(name string, from netip.Addr) (admin.DNSExplanation, error) {
	snap := s.fleet.snapshot()
	id := topology.NameID(strings.TrimSuffix(strings.ToLower(name), "."))
	n := snap.Name(id)
	if n == nil {
		return admin.DNSExplanation{}, fmt.Errorf("the authority has no name %q; edge get names lists them", name)
	}
	c, addrs := s.fleet.choose(n, from)
	x := admin.DNSExplanation{
		Name: n.Name, Pool: n.Pool, From: from, Edge: s.cfg.Name, Revision: snap.Revision, Region: c.Region, Addresses: append([]netip.Addr{}, addrs...),
		Scope: c.Prefix, TTL: topology.Duration(n.EffectiveTTL()), FailOpen: c.FailOpen, Regions: []admin.RegionExplanation{},
		Place: admin.PlaceExplanation{Known: c.Place.Known, Country: c.Place.Country, Continent: c.Place.Continent,
			Latitude: c.Place.Latitude, Longitude: c.Place.Longitude, Source: c.Place.Source},
	}
	passed := 0
	for _, r := range c.Considered {
		x.Regions = append(x.Regions, admin.RegionExplanation(r))
		if r.Chosen {
			x.Why = dnsReason(c.Default, c.FailOpen, passed)
		}
		passed++
	}
	if x.Why == "" {
		x.Why = "the topology has no region"
	}
	return x, nil
}

func dnsReason(unknownPlace, failOpen bool, passed int) string {
	base := "it is the nearest region that can serve"
	if unknownPlace {
		base = "the client's place is unknown, so the answering edge's own region comes first"
	}
	switch {
	case failOpen:
		return "no region can serve: answered as if all could"
	case passed > 0:
		return fmt.Sprintf("%s; %d nearer cannot", base, passed)
	}
	return base
}
