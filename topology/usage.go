// SPDX-License-Identifier: Apache-2.0

package topology

import (
	"fmt"
	"maps"
	"slices"
)

// Availability is what a pool's nodes in one zone can take: what DNS and other edges go by. Figures are shares in steps of 5 %, and change
// at most once a second, so that what is published under a lease doesn't change with each request.
type Availability struct {
	Pool   PoolID   `json:"pool"`
	Region RegionID `json:"region"`
	Zone   string   `json:"zone,omitempty"`
	// Healthy is the share of the nodes' weight that can be picked.
	Healthy float64 `json:"healthy"`
	// Utilization is how much of their capacity is used, 0 if they have none; above 1 if more than that is.
	Utilization float64 `json:"utilization"`
	// A is the availability: the part of the new work meant for them that they should get. At least 0.05 while one can be picked.
	A float64 `json:"a"`
	// Target is from which utilization on A falls.
	Target float64 `json:"target"`
}

// Usage is what an edge has out at a node that has a capacity, rounded up to steps of 5 % of that.
type Usage struct {
	InFlight  int     `json:"in_flight,omitempty"`  // the most at once in the last second
	PerSecond float64 `json:"per_second,omitempty"` // sent in the last second
}

// Bounds of what a report says of use, of at most 200 bytes each. Ours; with the rest of a report they stay below MaxReportBytes.
const (
	MaxReportedUsage        = 1500
	MaxReportedAvailability = 1000
)

// checkUsage notes every mistake in what a report says of use.
func (r *Report) checkUsage(c *checker, prefix string) {
	if len(r.Usage) > MaxReportedUsage || len(r.Availability) > MaxReportedAvailability {
		c.mistake(prefix+"usage", "it is of %d nodes and %d zones; at most %d and %d", len(r.Usage), len(r.Availability), MaxReportedUsage, MaxReportedAvailability)
		return
	}
	for _, id := range slices.Sorted(maps.Keys(r.Usage)) {
		c.name(prefix+"usage", string(id))
		if u := r.Usage[id]; u.InFlight < 0 || !(u.PerSecond >= 0 && u.PerSecond <= 1e12) {
			c.mistake(prefix+"usage", "a count of node %q is below 0 or no number", clip(string(id)))
		}
	}
	for i, a := range r.Availability {
		field := fmt.Sprintf("%savailability[%d]", prefix, i)
		c.name(field, string(a.Pool))
		c.name(field, string(a.Region))
		if a.Zone != "" {
			c.name(field, a.Zone)
		}
		for _, v := range []float64{a.Healthy, a.A, a.Target, a.Utilization / 1e6} {
			if !(v >= 0 && v <= 1) {
				c.mistake(field, "a share is not in 0..1")
			}
		}
	}
}
