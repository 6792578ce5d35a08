// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"math"
	"testing"
	"time"
)

// By Little's law the requests in flight are the rate times the time in the node, and what a node gets is what comes.
func TestUsageIsWhatComesAndStays(t *testing.T) {
	s := station(Node{Cores: 50, MaxInFlight: 10, MaxRPS: 400}, Route{Mean: 100 * time.Millisecond}, 30)
	r := Run(Config{Scenario: s, Policy: LeastRequest, Load: 0.4, Seed: 1})
	l := r.Limits[0]
	rate := float64(r.Measured) / 30
	if want := rate / 400; math.Abs(l.MeanRPS-want) > 0.001 {
		t.Errorf("requests a second: %.4f of the limit, want %.4f", l.MeanRPS, want)
	}
	if want := rate * (r.Mean - network).Seconds() / 10; math.Abs(l.Mean-want) > 0.02*want {
		t.Errorf("in flight: %.4f of the limit, want %.4f by Little's law", l.Mean, want)
	}
	if l.Most < l.Mean || l.MostRPS < l.MeanRPS || l.MostRPS > 2*l.MeanRPS {
		t.Errorf("the most is out of range: %+v", l)
	}
}

// Round robin knows no limits, so what is measured of ours is its own doing.
func TestOnlyOursKeepsToALimit(t *testing.T) {
	s := Limited()
	s.From, s.To = 12*time.Second, 16*time.Second
	blind := Run(Config{Scenario: s, Policy: RoundRobin, Load: 0.8, Seed: 1}).Limits[0]
	ours := Run(Config{Scenario: s, Policy: Meridian, Load: 0.8, Seed: 1}).Limits[0]
	if blind.Most < 1.5 || ours.Most > 1.1 {
		t.Errorf("round robin takes %.2f of the limit, ours %.2f", blind.Most, ours.Most)
	}
}
