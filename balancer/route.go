// SPDX-License-Identifier: Apache-2.0

package balancer

import (
	"math"
	"sync/atomic"
	"time"

	"meridian/topology"
)

// Route is what is learned of a route: the median of the time to the first byte of its answers. By it a node's times become ratios
// without a unit, and a node that happens to get the slow routes' requests is not taken for slow. Safe for concurrent use,
// without a lock. A nil Route stands for that of a pool's requests whose route is not known.
type Route struct {
	word atomic.Uint64 // upper half: the median in nanoseconds as float32, lower half: how many samples
}

const (
	// medianStep is by how much one sample moves a median that is known well: a hundred samples move it to double. Ours.
	medianStep = 0.01
	// shortest and longest bound what is taken for a time to the first byte: below it is the clock's grain, above a stream's silence.
	shortest = float64(10 * time.Microsecond)
	longest  = float64(time.Hour)
)

// Median returns the median, and 0 before the first answer.
func (r *Route) Median() time.Duration {
	return time.Duration(r.median())
}

func (r *Route) median() float64 {
	return float64(math.Float32frombits(uint32(r.word.Load() >> 32)))
}

// learn takes a sample in: the median goes up by a step if the sample is above it, down if below, in proportion to itself (Robbins
// and Monro's stochastic approximation, of the logarithm's median). The steps begin at one half and shrink. A sample that loses
// a race is left out: another one was taken in.
func (r *Route) learn(sample float64) {
	sample = min(max(sample, shortest), longest)
	old := r.word.Load()
	n := uint32(old)
	m := float64(math.Float32frombits(uint32(old >> 32)))
	step := 1 + max(medianStep, 1/float64(n+2))
	switch {
	case n == 0:
		m = sample
	case sample > m:
		m = min(m*step, sample)
	default:
		m = max(m/step, sample)
	}
	r.word.CompareAndSwap(old, uint64(math.Float32bits(float32(m)))<<32|uint64(min(n, 1<<30)+1))
}

// Route returns what is learned of a route, nil for one that is not in the topology. It is kept by name as long as the route is there.
func (t *Table) Route(id topology.RouteID) *Route { return t.view.Load().routes[id] }

// routesLocked returns the state of the snapshot's routes, kept where there is one. The caller holds t.mu.
func (t *Table) routesLocked(s *topology.Snapshot) map[topology.RouteID]*Route {
	old := t.view.Load()
	routes := make(map[topology.RouteID]*Route, len(s.Routes))
	for _, r := range s.Routes {
		if old != nil {
			routes[r.Name] = old.routes[r.Name]
		}
		if routes[r.Name] == nil {
			routes[r.Name] = &Route{}
		}
	}
	return routes
}
