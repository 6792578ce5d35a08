// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"slices"
	"testing"

	"meridian/balancer/sim"
)

// qualities are cells of the table in which ours must not fall back: each with the policy that was the best of the others over
// 20 seeds, and what each cell is about. They are where the policy has lost before, and where it gains most.
var qualities = []struct {
	scenario string
	load     float64
	rival    sim.Policy
	bound    float64 // ours as a multiple of the rival's p99
}{
	{"even", 0.8, sim.LeastTime, 1},                // looks at all nodes, and no score out of noise
	{"half slow", 0.8, sim.LeastTime, withinRatio}, // speed decides where nodes differ
	{"hang", 0.8, sim.LeastTime, 1},                // the age of what waits
	{"fail fast", 1.1, sim.LeastRequest, withinRatio},
	{"cold start", 1.1, sim.LeastRequest, withinRatio}, // slow start and a queue's share in a speed
	{"scale-out", 0.5, sim.LeastRequest, 1},            // who is cold isn't kept cold
	{"zone lost", 0.95, sim.LeastTime, withinRatio},    // half the queues in a zone, relieved by its region
	{"four CPU-bound", 0.95, sim.LeastRequest, withinRatio},
	{"mixed routes", 0.95, sim.Prequal, withinRatio}, // a burst behind a slow request is one event
	{"20 edges", 0.95, sim.LeastTime, withinRatio},   // others' queues are seen by latency
}

// TestOursIsAsGoodAsTheBest runs scenarios of the documentation's table with one seed. A run depends on nothing but its seed, so it fails
// where the policy has changed for the worse, and never by chance.
func TestOursIsAsGoodAsTheBest(t *testing.T) {
	for _, q := range qualities {
		t.Run(fmt.Sprintf("%s at %v", q.scenario, q.load), func(t *testing.T) {
			t.Parallel()
			all := sim.Scenarios()
			s := all[slices.IndexFunc(all, func(s *sim.Scenario) bool { return s.Name == q.scenario })]
			cfg := sim.Config{Scenario: s, Policy: sim.Meridian, Load: q.load, Seed: 1, Checks: newChecks}
			mine := sim.Run(cfg)
			cfg.Policy = q.rival
			other := sim.Run(cfg)
			ratio := mine.P99.Seconds() / other.P99.Seconds()
			t.Logf("p99 %s, %.3f of %s's, errors %d and %d of %d", mine.P99, ratio, q.rival.Name, mine.Errors, other.Errors, mine.Measured)
			if ratio > q.bound {
				t.Errorf("the p99 is %.3f times that of %s, want at most %v", ratio, q.rival.Name, q.bound)
			}
			if mine.ErrorRatio() > other.ErrorRatio()+0.001 { // some requests of a run
				t.Errorf("%d of %d requests fail, with %s %d", mine.Errors, mine.Measured, q.rival.Name, other.Errors)
			}
		})
	}
}
