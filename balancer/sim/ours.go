// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"fmt"
	"time"

	"meridian/balancer"
	"meridian/topology"
)

// Meridian is balancer.Table, as the edge uses it.
var Meridian = Policy{Name: "Meridian", New: newTable}

// epoch is when runs begin, by the table's clock.
var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

const (
	simPool   = topology.PoolID("pool")
	simRegion = topology.RegionID("region")
)

// table drives a balancer.Table: the one place where the simulator knows its API.
type table struct {
	t        *balancer.Table
	s        *Scenario
	edge     int
	rand     *Rand
	present  []bool
	changed  bool // present, since the last apply
	revision topology.Revision
	names    []topology.NodeID
	index    map[topology.NodeID]int
	leases   []balancer.Lease // by Try.Slot
	tried    []topology.NodeID
	routes   []topology.RouteID // by Try.Route
}

func newTable(s Setup) Balancer {
	b := &table{
		t: balancer.NewTable(), s: s.Scenario, edge: s.Edge, rand: s.Rand,
		present: make([]bool, len(s.Scenario.Nodes)), index: map[topology.NodeID]int{},
	}
	for i := range s.Scenario.Nodes {
		name := topology.NodeID(fmt.Sprintf("n%d", i))
		b.names = append(b.names, name)
		b.index[name] = i
	}
	for _, r := range s.Scenario.Routes {
		b.routes = append(b.routes, topology.RouteID(r.Name))
	}
	if len(s.Scenario.Edges) > 0 {
		b.t.SetZone(s.Scenario.Edges[s.Edge].Zone)
	}
	return b
}

// apply brings the nodes that are present into the table, if that has changed: those that come at one time come in one snapshot.
func (b *table) apply() {
	if !b.changed {
		return
	}
	b.changed = false
	set := topology.Set{}
	add := func(r topology.Resource) { set[r.Key()] = r }
	add(&topology.Region{Name: simRegion})
	add(&topology.Pool{Name: simPool})
	for _, r := range b.routes {
		add(&topology.Route{Name: r, Pool: simPool})
	}
	for i, n := range b.s.Nodes {
		if b.present[i] {
			add(&topology.Node{
				Name: b.names[i], Pool: simPool, Region: simRegion, Zone: n.Zone,
				Address:  fmt.Sprintf("127.0.0.1:%d", 1+i),
				Capacity: topology.Capacity{Connections: n.MaxInFlight, RPS: n.MaxRPS},
			})
		}
	}
	b.revision++
	snapshot, mistakes := topology.Build(b.revision, set)
	if len(mistakes) > 0 {
		panic(fmt.Sprintf("sim: the scenario's topology: %v", mistakes))
	}
	if build := b.t.Apply(snapshot, []topology.RegionID{simRegion}); build != nil {
		build()
	}
}

// Stand implements Balancer.
func (b *table) Stand(node int, present bool, s balancer.Standing, now time.Duration) {
	b.t.SetStanding(b.names[node], s)
	b.changed = b.changed || b.present[node] != present
	b.present[node] = present
}

// Pick implements Balancer.
func (b *table) Pick(t *Try, now time.Duration) int {
	b.apply()
	b.tried = b.tried[:0]
	for _, n := range t.Tried {
		b.tried = append(b.tried, b.names[n])
	}
	lease, err := b.t.Pick(balancer.Request{
		Pool: simPool, Route: b.t.Route(b.routes[t.Route]), Tried: b.tried, Now: epoch.Add(now), Rand: b.rand.Uint64(),
	})
	if err != nil {
		return -1
	}
	for len(b.leases) <= t.Slot {
		b.leases = append(b.leases, balancer.Lease{})
	}
	b.leases[t.Slot] = lease
	return b.index[lease.Node().Name]
}

// Tick implements Ticker.
func (b *table) Tick(now time.Duration) {
	b.apply()
	b.t.Tick(epoch.Add(now))
}

// outcomes are what the proxy tells of each end of a try.
var outcomes = [...]balancer.OutcomeKind{OK: balancer.OK, Failed: balancer.Failed, Refused: balancer.Failed, TimedOut: balancer.Failed}

// Ended implements Balancer.
func (b *table) Ended(t *Try, o Outcome, latency, now time.Duration) {
	l := &b.leases[t.Slot]
	l.Answered(epoch.Add(t.Sent+latency), balancer.Outcome{Kind: outcomes[o]})
	l.Done(epoch.Add(now))
}

// Report implements Reporter.
func (b *table) Report() []balancer.EdgeLoad {
	edge := topology.EdgeID(fmt.Sprintf("e%d", b.edge))
	out := []balancer.EdgeLoad{{Edge: edge}}
	for _, l := range b.t.Reported() {
		l.Edge = edge
		out = append(out, l)
	}
	return out
}

// Reported implements Reporter.
func (b *table) Reported(others []balancer.EdgeLoad) { b.t.SetReported(others) }
