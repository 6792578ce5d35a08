// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"math"
	"time"
)

// Scenario is a fleet, what is asked of it and what befalls it. Read only.
type Scenario struct {
	Name string
	// About says in a sentence what is in the scenario, for people.
	About  string
	Nodes  []Node
	Routes []Route
	// Edges balance independently of each other: a weight for each, by which a request comes to it. Empty: one edge.
	Edges []Edge
	// Ramp is how the arrivals change. Empty: Load × Capacity all the time.
	Ramp []RampPoint
	// Faults are what happens, in the order of their times.
	Faults []Fault
	// From and To bound the arrivals that are measured: those before warm the policies up. Positive.
	From, To time.Duration
}

// Node is a server.
type Node struct {
	Zone string
	// Cores is how many requests the node works on at once, at full speed each.
	Cores int
	// Shares says that the node works on all of its requests at once and that they share its cores, as programs do that
	// are bound by the processor. Otherwise it works on Cores of them, and the others wait in a queue in their order.
	Shares bool
	// Slowness multiplies the time that the node takes. Zero: 1.
	Slowness float64
	// Absent is a node that isn't in the topology until a Join.
	Absent bool
	// MaxInFlight and MaxRPS are the capacity that the topology says the node has. Zero: none.
	MaxInFlight int
	MaxRPS      float64
}

func (n Node) slowness() float64 {
	if n.Slowness == 0 {
		return 1
	}
	return n.Slowness
}

// Edge is one that balances by what it sees itself.
type Edge struct {
	Zone   string
	Weight int // its share of the requests, relative to the other edges'
}

// Route is a kind of requests.
type Route struct {
	Name string
	// Share is how many of all requests take the route, 0..1; together 1.
	Share float64
	// Mean is the mean time that a request takes on an idle node of slowness 1, without the network.
	Mean time.Duration
	// Sigma is the standard deviation of the logarithm of that time, which is log-normal. Zero: it is exponential.
	Sigma float64
}

// draw returns how long a request of the route takes, in seconds.
func (r *Route) draw(rand *Rand) float64 {
	if r.Sigma == 0 {
		return r.Mean.Seconds() * rand.Exp()
	}
	return r.Mean.Seconds() * math.Exp(r.Sigma*rand.Normal()-r.Sigma*r.Sigma/2)
}

// RampPoint is the rate of arrivals at a time, as a share of Load × Capacity, 0..1. Between two points it changes linearly.
type RampPoint struct {
	At    time.Duration
	Share float64
}

// FaultKind is what a Fault does.
type FaultKind uint8

// The faults.
const (
	// Hang stops the node, as SIGSTOP does: it takes requests and does nothing. Checks get no answer.
	Hang FaultKind = iota
	// Resume ends Hang; the node goes on where it was.
	Resume
	// Slow multiplies the time that the node takes by Factor, also for what it is at. 1 ends it. Checks pass.
	Slow
	// FailFast has the node break every new request off after a millisecond without an answer. Checks pass.
	FailFast
	// Mend ends FailFast.
	Mend
	// Vanish takes the node off the network: connects and checks get no answer.
	Vanish
	// Die ends the node's process: what it has is broken off, connects and checks are refused.
	Die
	// Start brings the process back. Its cache is cold: Factor is how much longer the first request takes, see coldRequests.
	Start
	// Join brings an Absent node into the topology, with a cold cache as Start.
	Join
)

// Fault is something that befalls nodes.
type Fault struct {
	At     time.Duration
	Kind   FaultKind
	Nodes  []int
	Factor float64
}

// mean returns the mean time of a request in seconds.
func (s *Scenario) mean() float64 {
	mean := 0.0
	for _, r := range s.Routes {
		mean += r.Share * r.Mean.Seconds()
	}
	return mean
}

// Capacity returns how many requests a second the nodes can do that are whole from the last fault on, or all through the
// scenario where none is faulty: a policy that knew everything would keep up with 0.95 of it at any time. Cold caches and
// slow starts are left out.
func (s *Scenario) Capacity() float64 {
	out := make([]bool, len(s.Nodes))
	for i, n := range s.Nodes {
		out[i] = n.Absent
	}
	for _, f := range s.Faults {
		for _, n := range f.Nodes {
			switch f.Kind {
			case Hang, Slow, FailFast, Vanish, Die:
				out[n] = true
			case Join:
				out[n] = false
			}
		}
	}
	cores := 0.0
	for i, n := range s.Nodes {
		if !out[i] {
			cores += float64(n.Cores) / n.slowness()
		}
	}
	return cores / s.mean()
}

// steady reports which nodes are whole and there all the time: those whose utilisations are compared.
func (s *Scenario) steady() []bool {
	steady := make([]bool, len(s.Nodes))
	for i, n := range s.Nodes {
		steady[i] = !n.Absent
	}
	for _, f := range s.Faults {
		for _, n := range f.Nodes {
			steady[n] = false
		}
	}
	return steady
}

// share returns the rate of arrivals at a time relative to Load × Capacity.
func (s *Scenario) share(at time.Duration) float64 {
	if len(s.Ramp) == 0 {
		return 1
	}
	before := s.Ramp[0]
	for _, p := range s.Ramp {
		if at < p.At {
			return before.Share + (p.Share-before.Share)*float64(at-before.At)/float64(p.At-before.At)
		}
		before = p
	}
	return before.Share
}
