// SPDX-License-Identifier: Apache-2.0

package main

import (
	"maps"
	"net/netip"
	"sync/atomic"
	"time"

	"meridian/geo"
	"meridian/health"
	"meridian/proxy/drain"
	"meridian/topology"
)

// drainedEdges returns the views with why clients are kept away from an edge or from its region, as the snapshot has it.
func drainedEdges(snap *topology.Snapshot, views []health.EdgeView) []health.EdgeView {
	if snap == nil || len(snap.Drains) == 0 {
		return views
	}
	out := make([]health.EdgeView, len(views))
	for i, v := range views {
		switch {
		case snap.DrainOfEdge(v.Edge.Name) != nil:
			v.Drained = "it is drained"
		case snap.DrainOfRegion(v.Edge.Region) != nil:
			v.Drained = "its region is drained"
		}
		out[i] = v
	}
	return out
}

// serving is how a region stands for a pool, and, for when no region could serve otherwise, how it would stand without drains.
func serving(r topology.RegionID, p topology.PoolID, snap *topology.Snapshot, all, drained []health.EdgeView) regionOutlook {
	out := outlookOf(r, p, drained)
	if len(snap.Drains) == 0 {
		return out
	}
	if snap.DrainOfRegion(r) != nil {
		out.canServe, out.reason = false, "the region is drained"
	}
	if !out.canServe {
		last := outlookOf(r, p, all)
		out.last = &last
	}
	return out
}

func outlookOf(r topology.RegionID, p topology.PoolID, edges []health.EdgeView) regionOutlook {
	ok, reason, usable := health.CanServe(r, p, edges)
	return regionOutlook{canServe: ok, reason: reason, addresses: addressesOf(usable), edges: usable}
}

// withoutDrains returns the outlook for when what is drained is all that can serve.
func (r regionOutlook) withoutDrains() regionOutlook {
	if r.last != nil {
		return *r.last
	}
	return r
}

// drainedChoice chooses again where no region can serve: among those that could if they were not drained. To be drained never makes an
// operator's last region unreachable.
func (f *fleet) drainedChoice(o *outlook, name *topology.Name, place geo.Place, sites []geo.Site) (geo.Choice, regionOutlook, bool) {
	if o.snapshot == nil || len(o.snapshot.Drains) == 0 {
		return geo.Choice{}, regionOutlook{}, false
	}
	choice := geo.Choose(place, sites, f.self.Region, func(r topology.RegionID) (bool, string) {
		out := o.regions[regionPool{r, name.Pool}]
		if out.last != nil && out.last.canServe {
			return true, out.reason + ", but no other region can serve"
		}
		return out.canServe, out.reason
	})
	return choice, o.regions[regionPool{choice.Region, name.Pool}].withoutDrains(), !choice.FailOpen
}

// answered is when the last answer of this edge's authority that led to a region, or an edge, runs out in the resolvers that have it.
// Regions and edges are entered by fleet.look; queries only raise what they find.
type answered struct {
	began   time.Time // the process; times are counted from here, by the monotonic clock
	entries map[any]*atomic.Int64
}

// of returns the entry of a topology.RegionID or EdgeID. Only fleet.look calls it.
func (a *answered) of(id any) *atomic.Int64 {
	if a.entries == nil {
		a.entries = map[any]*atomic.Int64{}
	}
	e := a.entries[id]
	if e == nil {
		e = new(atomic.Int64)
		a.entries[id] = e
	}
	return e
}

// clockGrain is by how much an entry is raised at least, so that queries of one moment don't all write to one word.
const clockGrain = 250 * time.Millisecond

// raise says that an answer may be used for ttl from now on.
func raise(e *atomic.Int64, since, ttl time.Duration) {
	until := int64(since + ttl)
	for {
		old := e.Load()
		if old >= until {
			return
		}
		if e.CompareAndSwap(old, until+int64(clockGrain)) {
			return
		}
	}
}

// ttlClocks are the entries that an outlook's answers raise. Immutable.
type ttlClocks struct {
	regions map[topology.RegionID]*atomic.Int64
	edges   map[topology.EdgeID]*atomic.Int64
}

// clocks enters what the snapshot has, and forgets what is gone and has run out.
func (f *fleet) clocks(snap *topology.Snapshot) ttlClocks {
	c := ttlClocks{regions: map[topology.RegionID]*atomic.Int64{}, edges: map[topology.EdgeID]*atomic.Int64{}}
	if snap == nil {
		return c
	}
	known := map[any]bool{f.self.Name: true}
	for _, r := range snap.Regions {
		c.regions[r.Name] = f.answered.of(r.Name)
		known[r.Name] = true
	}
	for _, e := range snap.Edges {
		c.edges[e.Name] = f.answered.of(e.Name)
		known[e.Name] = true
	}
	c.edges[f.self.Name] = f.answered.of(f.self.Name)
	now := int64(time.Since(f.answered.began))
	maps.DeleteFunc(f.answered.entries, func(id any, e *atomic.Int64) bool { return !known[id] && e.Load() < now })
	return c
}

// answer is choose for a client's query: it notes for how long resolvers will lead clients to where the answer does.
func (f *fleet) answer(name *topology.Name, client netip.Addr) (geo.Choice, []netip.Addr) {
	o := f.outlook.Load()
	choice, out := f.chooseIn(o, name, client)
	since, ttl := time.Since(f.answered.began), name.EffectiveTTL()
	if e := o.clocks.regions[choice.Region]; e != nil {
		raise(e, since, ttl)
	}
	for _, edge := range out.edges {
		if e := o.clocks.edges[edge.Name]; e != nil {
			raise(e, since, ttl)
		}
	}
	return choice, out.addresses
}

// resolvers returns for how long resolvers may have an answer of this edge's authority that leads to what d drains. What the process
// before this one has answered is not known: it is taken to have answered with the longest TTL until this one began, or until it saw
// the drain.
func (f *fleet) resolvers(d *topology.Drain) time.Duration {
	o, target := f.outlook.Load(), d.Target()
	longest := longestTTL(f.store.Load(), target)
	if !o.knows(d) {
		return longest
	}
	e := o.clocks.regions[target.Region]
	if target.Scope == topology.ScopeEdge {
		e = o.clocks.edges[target.Edge]
	}
	now := time.Since(f.answered.began)
	left := time.Duration(0)
	if e != nil {
		left = time.Duration(e.Load()) - now
	}
	before := min(0, d.Created.Add(seesDrain).Sub(f.started)) // at most when this process began
	if before = max(before, -longest); d.Created.IsZero() {   // it was applied from a file that does not say when: perhaps just now
		before = 0
	}
	return max(0, left, before+longest-now)
}

// seesDrain is how long after its writing a drain may take to be seen by an edge, and the edge's clock may be ahead of the writer's.
const seesDrain = 5 * time.Second

// knows reports whether the outlook was made of a snapshot with the drain.
func (o *outlook) knows(d *topology.Drain) bool {
	held, _ := o.snapshot.Get(d.Key()).(*topology.Drain)
	return d.Same(held)
}

// longestTTL is that of the names that can be answered with what is drained.
func longestTTL(snap *topology.Snapshot, target topology.DrainTarget) (most time.Duration) {
	if snap == nil {
		return 0
	}
	region := target.Region
	if target.Scope == topology.ScopeEdge {
		if e := snap.Edge(target.Edge); e != nil {
			region = e.Region
		}
	}
	for _, n := range snap.Names {
		if region == "" || n.Serves(region) {
			most = max(most, n.EffectiveTTL())
		}
	}
	return most
}

// drainedSelf says how drains of this edge and of its region are carried out.
func (s *server) drainedSelf() drain.Self {
	return drain.Self{
		Name: s.cfg.Name, Region: s.cfg.Region, Leave: s.proxy.Leave, CutAll: s.proxy.CutAll,
		Load: func() drain.Load {
			requests, connections := s.proxy.InHand()
			_, streams := s.table.Out()
			return drain.Load{InFlight: max(0, requests-streams), Streams: streams, Connections: connections}
		},
	}
}

// resolvers returns what drains ask of the authority; nil where this edge is none.
func (s *server) resolvers() func(*topology.Drain) time.Duration {
	if len(s.cfg.DNS.Listen) == 0 {
		return nil
	}
	return s.fleet.resolvers
}
