// SPDX-License-Identifier: Apache-2.0

package balancer

import (
	"fmt"
	"time"

	"meridian/topology"
)

// Candidate is one node of a pool as a pick would see it now.
type Candidate struct {
	Node    topology.NodeID   `json:"node"`
	Region  topology.RegionID `json:"region"`
	Zone    string            `json:"zone,omitempty"`
	Address string            `json:"address"`
	// Tier is the place of the node's region in the order in which regions are tried, from 0.
	Tier     int      `json:"tier"`
	Standing Standing `json:"standing"`
	Draining bool     `json:"draining,omitempty"`
	InFlight int      `json:"in_flight"`
	Streams  int      `json:"streams"`
	Weight   int      `json:"weight"`
	// Eligible says that the next pick may return the node.
	Eligible bool `json:"eligible"`
	// Reason says why it may or may not, for people.
	Reason string `json:"reason"`
}

// Explain returns every node of a pool with why the next pick may or may not return it, in the order of regions, then of
// names. Capacity.RPS is left out of it, as it takes a clock.
func (t *Table) Explain(p topology.PoolID) []Candidate {
	groups := t.view.Load().groupsOf(p)
	t.mu.Lock() // for the drains
	defer t.mu.Unlock()
	winner, standing := winner(groups)
	var out []Candidate
	for _, g := range groups {
		for _, e := range g.all {
			c := e.candidate()
			c.Reason = e.reason(c)
			switch {
			case c.Reason != "":
			case g == winner && c.Standing == standing:
				c.Eligible, c.Reason = true, "can be picked"
			case c.Standing == StandingUnknown && standing == StandingUp:
				c.Reason = "not yet checked; taken only where no node that is up can be"
			default:
				c.Reason = fmt.Sprintf("region %s comes first", winner.key.region)
			}
			out = append(out, c)
		}
	}
	return out
}

// winner returns the group from which the next pick comes, and the standing that its nodes must have.
func winner(groups []*group) (*group, Standing) {
	for _, s := range []Standing{StandingUp, StandingUnknown} {
		for _, g := range groups {
			for _, e := range g.all {
				if c := e.candidate(); c.Standing == s && e.reason(c) == "" {
					return g, s
				}
			}
		}
	}
	return nil, StandingUnknown
}

func (e *entry) candidate() Candidate {
	l := e.state.load()
	return Candidate{
		Node: e.node.Name, Region: e.node.Region, Zone: e.node.Zone, Address: e.node.Address,
		Tier: e.group.place, Standing: l.Standing, Draining: l.Draining, InFlight: l.InFlight, Streams: l.Streams,
		Weight: int(e.weight),
	}
}

// reason says what keeps the node from being picked whatever the others are, or nothing. The caller holds Table.mu.
func (e *entry) reason(c Candidate) string {
	switch {
	case e.state.cut.Load().done.Load():
		return "cut at the deadline of its drain"
	case c.Draining:
		return drainReason(e.state.drain)
	case c.Standing == StandingDown:
		return "down"
	}
	return e.reasonFull()
}

func (e *entry) reasonFull() string {
	if n, _ := e.state.out(); e.maxInFlight != 0 && uint64(n) >= e.maxInFlight {
		return fmt.Sprintf("full: %d in flight of at most %d", n, e.maxInFlight)
	}
	return ""
}

func drainReason(d *topology.Drain) string {
	if d == nil {
		return "leaving: it has said that it is about to end"
	}
	s := "draining since " + d.Created.UTC().Format(time.RFC3339)
	if !d.Deadline.IsZero() {
		s += " until " + d.Deadline.UTC().Format(time.RFC3339)
	}
	if d.Author != "" {
		s += " by " + d.Author
	}
	if d.Reason != "" {
		s += ": " + d.Reason
	}
	return s
}
