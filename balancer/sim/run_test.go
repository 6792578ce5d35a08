// SPDX-License-Identifier: Apache-2.0

package sim_test

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"meridian/balancer"
	"meridian/balancer/sim"
	"meridian/health"
)

// tracked is health.Tracker with its defaults, as internal/simulate wires it.
type tracked struct {
	t       *health.Tracker
	targets map[string]health.Settings
}

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func newTracked(_ int, changed func(int, balancer.Standing)) sim.Checks {
	return &tracked{targets: map[string]health.Settings{}, t: health.NewTracker(func(id string, v health.Verdict) {
		var node int
		fmt.Sscan(id, &node)
		s := balancer.StandingDown
		if v.CanPick() {
			s = balancer.StandingUp
		}
		changed(node, s)
	})}
}

func (c *tracked) Target(node int, now time.Duration) {
	c.targets[fmt.Sprint(node)] = health.Settings{Group: "all"}
	c.t.Apply(c.targets, epoch.Add(now))
}

func (c *tracked) Checked(node int, ok bool, now time.Duration) time.Duration {
	return c.t.Probed(fmt.Sprint(node), ok, "", 0, epoch.Add(now))
}

func (c *tracked) Observe(node int, o sim.Outcome, now time.Duration) bool {
	outcome := health.GatewayError
	switch o {
	case sim.OK:
		outcome = health.Success
	case sim.Refused:
		outcome = health.ConnectFailed
	}
	return c.t.Observe(fmt.Sprint(node), outcome, "", epoch.Add(now))
}

// short cuts a scenario down to 3 s around what happens in it, and a tenth of its requests.
func short(s *sim.Scenario) *sim.Scenario {
	s.From = min(s.From, 10*time.Second) - time.Second
	s.To = s.From + 3*time.Second
	for i := range s.Routes {
		s.Routes[i].Mean *= 10
	}
	return s
}

func TestEveryRequestIsAnsweredFailedOrUnderWay(t *testing.T) {
	for _, s := range sim.Scenarios() {
		short(s)
		for _, p := range sim.Policies() {
			for name, checks := range map[string]sim.NewChecks{"with checks": newTracked, "bare": nil} {
				t.Run(s.Name+"/"+p.Name+"/"+name, func(t *testing.T) {
					r := sim.Run(sim.Config{Scenario: s, Policy: p, Load: 0.95, Seed: 3, Checks: checks})
					if r.Arrived != r.Answered+r.Failed+r.InFlight {
						t.Errorf("%d arrived, but %d were answered, %d failed, %d are under way", r.Arrived, r.Answered, r.Failed, r.InFlight)
					}
					if r.Measured == 0 || r.P50 <= 0 || r.P99 < r.P50 || r.P999 < r.P99 {
						t.Errorf("measured %d: p50 %v, p99 %v, p99.9 %v", r.Measured, r.P50, r.P99, r.P999)
					}
				})
			}
		}
	}
}

func TestOneSeedGivesOneResult(t *testing.T) {
	for _, p := range sim.Policies() {
		run := func(seed uint64) sim.Result {
			return sim.Run(sim.Config{Scenario: short(sim.Scenarios()[5]), Policy: p, Load: 0.8, Seed: seed, Checks: newTracked})
		}
		if diff := cmp.Diff(run(1), run(1)); diff != "" {
			t.Errorf("%s: two runs with one seed differ:\n%s", p.Name, diff)
		}
		if cmp.Equal(run(1), run(2)) {
			t.Errorf("%s: two seeds give one result", p.Name)
		}
	}
}

// An open loop: requests come when they come, however slow the nodes are, and are the same for all policies.
func TestArrivalsDoNotDependOnAnswers(t *testing.T) {
	for _, s := range sim.Scenarios() {
		short(s)
		measured := map[string]int{}
		for _, p := range sim.Policies() {
			measured[p.Name] = sim.Run(sim.Config{Scenario: s, Policy: p, Load: 0.8, Seed: 5}).Measured
		}
		for name, n := range measured {
			if n != measured[sim.RoundRobin.Name] {
				t.Errorf("%s: %d requests for %s, %d for round robin", s.Name, n, name, measured[sim.RoundRobin.Name])
			}
		}
		if len(s.Ramp) > 0 {
			continue
		}
		want := 0.8 * s.Capacity() * (s.To - s.From).Seconds()
		if n := float64(measured[sim.RoundRobin.Name]); math.Abs(n-want) > 4*math.Sqrt(want) {
			t.Errorf("%s: %v requests, want %v as a Poisson process has them", s.Name, n, want)
		}
	}
}

// hung is a node of two that stops in the middle.
func hung() *sim.Scenario {
	return &sim.Scenario{
		Name: "hung", Nodes: []sim.Node{{Cores: 2}, {Cores: 2}},
		Routes: []sim.Route{{Name: "all", Share: 1, Mean: 10 * time.Millisecond}},
		Faults: []sim.Fault{{At: 5 * time.Second, Kind: sim.Hang, Nodes: []int{1}}},
		From:   5 * time.Second, To: 15 * time.Second,
	}
}

func TestChecksTakeAHungNodeOut(t *testing.T) {
	bare := sim.Run(sim.Config{Scenario: hung(), Policy: sim.RoundRobin, Load: 0.5, Seed: 1})
	if e := bare.ErrorRatio(); math.Abs(e-0.5) > 0.01 {
		t.Errorf("without checks %.3f of the requests fail, want the half that goes to the hung node", e)
	}
	checked := sim.Run(sim.Config{Scenario: hung(), Policy: sim.RoundRobin, Load: 0.5, Seed: 1, Checks: newTracked})
	// Down after two checks: 1.1 s at most to the first, 0.3 s between them, and 1 s without an answer each. Until then half of
	// the requests, of 10 s.
	if e := checked.ErrorRatio(); e == 0 || e > 0.17+0.01 {
		t.Errorf("with checks %.3f of the requests fail, want those of the time until two checks have failed", e)
	}
}

func TestRetriesSaveWhatMayBeRepeated(t *testing.T) {
	s := hung()
	s.Faults[0].Kind = sim.FailFast
	bare := sim.Run(sim.Config{Scenario: s, Policy: sim.RoundRobin, Load: 0.5, Seed: 1})
	if e := bare.ErrorRatio(); math.Abs(e-0.5) > 0.01 {
		t.Errorf("bare: %.3f of the requests fail, want half", e)
	}
	checked := sim.Run(sim.Config{Scenario: s, Policy: sim.RoundRobin, Load: 0.5, Seed: 1, Checks: newTracked})
	if checked.Retries == 0 || checked.ErrorRatio() > 0.01 {
		t.Errorf("with ejection and retries: %d retries, %.4f fail", checked.Retries, checked.ErrorRatio())
	}
	s.Faults[0].Kind = sim.Die // nothing is sent to a node that refuses, so every request may go elsewhere
	died := sim.Run(sim.Config{Scenario: s, Policy: sim.RoundRobin, Load: 0.5, Seed: 1, Checks: newTracked})
	if died.Errors > 4 {
		t.Errorf("a node dies: %d requests fail, more than it can have had", died.Errors)
	}
}

func TestAFrozenNodeGoesOnWhereItWas(t *testing.T) {
	s := hung()
	s.Faults = append(s.Faults, sim.Fault{At: 7 * time.Second, Kind: sim.Resume, Nodes: []int{1}})
	r := sim.Run(sim.Config{Scenario: s, Policy: sim.RoundRobin, Load: 0.5, Seed: 1})
	if r.Errors != 0 {
		t.Errorf("%d requests fail, though the node is back before any deadline", r.Errors)
	}
	if r.P99 < 1500*time.Millisecond || r.P99 > 2500*time.Millisecond {
		t.Errorf("p99 %v, want about the 2 s that the node stood still", r.P99)
	}
}

func TestAPolicyThatSeesLoadAvoidsASlowNode(t *testing.T) {
	s := hung()
	s.Faults, s.Nodes = nil, []sim.Node{{Cores: 2}, {Cores: 2}, {Cores: 2, Slowness: 16}}
	blind := sim.Run(sim.Config{Scenario: s, Policy: sim.RoundRobin, Load: 0.8, Seed: 1})
	if blind.ErrorRatio() < 0.1 {
		t.Errorf("round robin fails %.3f: the slow node isn't slow", blind.ErrorRatio())
	}
	for _, p := range sim.Policies()[1:] {
		r := sim.Run(sim.Config{Scenario: s, Policy: p, Load: 0.8, Seed: 1})
		if r.Mean > blind.Mean/2 {
			t.Errorf("%s: mean %v, round robin's %v", p.Name, r.Mean, blind.Mean)
		}
	}
}

// A run may grow its queues and tables and a tick of ours may allocate a little, but no event does.
func TestLongerRunsAllocateNoMore(t *testing.T) {
	for _, p := range sim.Policies() {
		allocs := func(seconds time.Duration) float64 {
			s := sim.Scenarios()[0]
			s.To = s.From + seconds*time.Second
			return testing.AllocsPerRun(1, func() { sim.Run(sim.Config{Scenario: s, Policy: p, Load: 0.5, Seed: 1}) })
		}
		if few, many := allocs(2), allocs(8); many > few+1000 {
			t.Errorf("%s: %v allocations for 2 s, %v for 8 s, which are 6,000 requests more", p.Name, few, many)
		}
	}
}

func BenchmarkRun(b *testing.B) {
	for _, p := range sim.Policies() {
		b.Run(p.Name, func(b *testing.B) {
			b.ReportAllocs()
			requests := 0
			for b.Loop() {
				requests += sim.Run(sim.Config{Scenario: sim.Scenarios()[0], Policy: p, Load: 0.8, Seed: 1}).Arrived
			}
			b.ReportMetric(float64(requests)/b.Elapsed().Seconds(), "requests/s")
		})
	}
}
