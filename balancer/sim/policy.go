// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"time"

	"meridian/balancer"
)

// Policy is a way to balance.
type Policy struct {
	Name string
	// New makes the balancer of one edge.
	New func(Setup) Balancer
}

// Setup is what a balancer is made for.
type Setup struct {
	Scenario *Scenario
	Edge     int
	// Retries says that calls come again after a failed try: a failed try is then not an answer.
	Retries bool
	Rand    *Rand
}

// Outcome is how a try ended.
type Outcome uint8

// The outcomes.
const (
	OK       Outcome = iota
	Failed           // broken off without an answer
	Refused          // no connection: nothing was sent
	TimedOut         // the edge gave up at the request's deadline
)

// Try is one call's stay on a node.
type Try struct {
	// Slot is unique among the tries that are out on an edge, and small: an index for what a balancer keeps of the try.
	Slot  int
	Node  int
	Route int
	Sent  time.Duration
	// Tried are the nodes of the request's tries before.
	Tried []int32
}

// Balancer is the balancing of one edge. Times are since the beginning of the run.
type Balancer interface {
	// Stand says how a node stands with the checks; not present: it isn't in the topology. Before the first Stand of a
	// node it isn't either.
	Stand(node int, present bool, s balancer.Standing, now time.Duration)
	// Pick returns the node for a try, or -1 if there is none. Try.Node is not yet set.
	Pick(t *Try, now time.Duration) int
	// Ended says how the try ended. The time to the first byte and the whole are one here.
	Ended(t *Try, o Outcome, latency, now time.Duration)
}

// Prober is a Balancer that probes nodes besides the requests.
type Prober interface {
	// Probes is called after each Pick of a first try and returns the nodes to probe. The slice is the balancer's.
	Probes(now time.Duration) []int32
	// Probed brings a probe's answer: the requests on the node and the latency that it tells of.
	Probed(node, inFlight int, latency, now time.Duration)
}

// Ticker is a Balancer that works every 100 ms.
type Ticker interface{ Tick(now time.Duration) }

// Reporter is a Balancer that tells the others, once a second, what it has on the nodes.
type Reporter interface {
	// Report returns what the edge has on the nodes.
	Report() []balancer.EdgeLoad
	// Reported brings what all the other edges said a second ago.
	Reported(others []balancer.EdgeLoad)
}

// Checks are the checks and the ejection of one edge, the same for all policies. The caller of Run brings them, since
// health is another room.
type Checks interface {
	// Target adds a node, or one that is back in the topology.
	Target(node int, now time.Duration)
	// Checked takes in a check's result and returns when to check again.
	Checked(node int, ok bool, now time.Duration) (next time.Duration)
	// Observe takes in the end of a try. checkNow asks for a check at once.
	Observe(node int, o Outcome, now time.Duration) (checkNow bool)
}

// NewChecks makes the checks of an edge. changed is to be told how a node stands whenever that changes.
type NewChecks func(nodes int, changed func(node int, s balancer.Standing)) Checks

// members are the nodes that a balancer of a peer may pick: those that are up, or if there are none those not yet checked.
type members struct {
	standing []balancer.Standing
	present  []bool
	ready    []int32
}

func newMembers(n int) members {
	return members{standing: make([]balancer.Standing, n), present: make([]bool, n)}
}

func (m *members) stand(node int, present bool, s balancer.Standing) {
	m.standing[node], m.present[node] = s, present
	m.ready = m.ready[:0]
	for _, want := range []balancer.Standing{balancer.StandingUp, balancer.StandingUnknown} {
		for i, s := range m.standing {
			if m.present[i] && s == want {
				m.ready = append(m.ready, int32(i))
			}
		}
		if len(m.ready) > 0 {
			return
		}
	}
}

// has reports whether the node may be picked.
func (m *members) has(node int32) bool {
	for _, i := range m.ready {
		if i == node {
			return true
		}
	}
	return false
}

// untried returns the k-th of the ready nodes that the try hasn't been on, and how many there are.
func (m *members) untried(t *Try, scratch []int32) []int32 {
	if len(t.Tried) == 0 {
		return m.ready
	}
	scratch = scratch[:0]
	for _, n := range m.ready {
		if !contains(t.Tried, n) {
			scratch = append(scratch, n)
		}
	}
	return scratch
}

func contains(list []int32, n int32) bool {
	for _, x := range list {
		if x == n {
			return true
		}
	}
	return false
}

// Policies returns all policies, ours last.
func Policies() []Policy {
	return []Policy{RoundRobin, LeastRequest, PeakEWMA, LeastTime, Prequal, Meridian}
}
