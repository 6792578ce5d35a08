// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"math"
	"slices"
	"time"

	"meridian/balancer"
	"meridian/health"
	"meridian/topology"
)

// usageEvery is how often what is reported of use may change. Every report makes all edges look: without it they would publish in
// turn without end.
const usageEvery = time.Second

// usage is what this edge reports of what it and its region's nodes do. It belongs to the goroutine of fleet.run.
type usage struct {
	at           time.Time
	availability []topology.Availability
	nodes        map[topology.NodeID]topology.Usage
}

// ownUsage returns what to report, at most usageEvery anew.
func (f *fleet) ownUsage(snap *topology.Snapshot, now time.Time) ([]topology.Availability, map[topology.NodeID]topology.Usage) {
	u := &f.usage
	if since := now.Sub(u.at); since >= 0 && since < usageEvery {
		return u.availability, u.nodes
	}
	*u = usage{at: now}
	for _, a := range f.table.Availability() {
		if a.Region == f.self.Region && len(u.availability) < topology.MaxReportedAvailability {
			u.availability = append(u.availability, a)
		}
	}
	loads := f.table.Reported()
	slices.SortFunc(loads, func(a, b balancer.EdgeLoad) int { // where not all fit, those of which most is out
		return cmp.Or(cmp.Compare(b.InFlight, a.InFlight), cmp.Compare(a.Node, b.Node))
	})
	for _, l := range loads {
		n := snap.Node(l.Node)
		if n == nil || n.Capacity == (topology.Capacity{}) || len(u.nodes) >= topology.MaxReportedUsage {
			continue
		}
		set(&u.nodes, l.Node, topology.Usage{
			InFlight:  int(inSteps(float64(l.InFlight), float64(n.Capacity.Connections))),
			PerSecond: inSteps(l.PerSecond, n.Capacity.RPS),
		})
	}
	return u.availability, u.nodes
}

// inSteps rounds v up to steps of a twentieth of the whole, and to whole ones; without a whole there is nothing to say.
func inSteps(v, whole float64) float64 {
	if whole <= 0 || v <= 0 {
		return 0
	}
	step := max(1, whole/20)
	return math.Ceil(math.Ceil(v/step) * step)
}

// followUsage tells the balancer what the other edges have out at the nodes. The edges of the own region have their part of each node's
// capacity kept for them also while they have nothing out.
func (f *fleet) followUsage(edges []health.EdgeView) {
	var loads []balancer.EdgeLoad
	for _, e := range edges {
		if e.Edge.Name == f.self.Name || e.Report == nil || e.Standing == health.Down || e.Edge.Leaving {
			continue
		}
		if e.Edge.Region == f.self.Region {
			loads = append(loads, balancer.EdgeLoad{Edge: e.Edge.Name})
		}
		for id, u := range e.Report.Usage {
			loads = append(loads, balancer.EdgeLoad{Edge: e.Edge.Name, Node: id, InFlight: u.InFlight, PerSecond: u.PerSecond})
		}
	}
	f.table.SetReported(loads)
}
