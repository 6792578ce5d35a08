// SPDX-License-Identifier: Apache-2.0

package balancer

import (
	"cmp"
	"math"
	"slices"

	"meridian/topology"
)

// Availability is what a pool's nodes in one zone can take.
type Availability = topology.Availability

// place is one pool's part of a zone.
type place struct {
	pool   topology.PoolID
	region topology.RegionID
	zone   string
}

const step = 0.05

func quantised(v float64) float64 { return math.Round(math.Round(v/step)*step*100) / 100 }

// Availability returns that of each pool in each zone, sorted by pool, region and zone. It is shared: don't change it. It is made by the
// first Tick, and again at most once a second.
func (t *Table) Availability() []Availability {
	if a := t.availability.Load(); a != nil {
		return *a
	}
	return nil
}

// measureLocked works the availability out anew. The caller holds t.mu.
func (t *Table) measureLocked() {
	loads := map[place]*load{}
	for _, e := range t.view.Load().nodes {
		at := place{e.node.Pool, e.node.Region, e.node.Zone}
		if loads[at] == nil {
			loads[at] = &load{}
		}
		loads[at].add(e, true)
	}
	since := t.now - t.settled
	t.settled = t.now
	measured := make(map[place]*damped, len(loads))
	out := make([]Availability, 0, len(loads))
	for at, l := range loads {
		d := t.measured[at]
		if d == nil {
			d = &damped{}
		}
		room := l.room()
		d.follow(room, since)
		measured[at] = d
		a := Availability{Pool: at.pool, Region: at.region, Zone: at.zone, Utilization: quantised(l.utilization()), A: quantised(d.shown), Target: 0.8}
		if l.all > 0 {
			a.Healthy = quantised(l.up / l.all)
		}
		if l.full > 0 {
			a.Target = quantised(l.goal / l.full)
		}
		if room > 0 {
			a.A = max(a.A, step)
		}
		out = append(out, a)
	}
	t.measured = measured
	slices.SortFunc(out, func(a, b Availability) int {
		return cmp.Or(cmp.Compare(a.Pool, b.Pool), cmp.Compare(a.Region, b.Region), cmp.Compare(a.Zone, b.Zone))
	})
	t.availability.Store(&out)
}
