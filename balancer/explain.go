// SPDX-License-Identifier: Apache-2.0

package balancer

import (
	"fmt"
	"math"
	"time"

	"meridian/topology"
)

// Candidate is one node of a pool as a pick would see it now.
type Candidate struct {
	Node    topology.NodeID   `json:"node"`
	Region  topology.RegionID `json:"region"`
	Zone    string            `json:"zone,omitempty"`
	Address string            `json:"address"`
	// Tier is the place of the node's tier in the order in which they are tried, from 0.
	Tier     int      `json:"tier"`
	Standing Standing `json:"standing"`
	Draining bool     `json:"draining,omitempty"`
	Overflow bool     `json:"overflow,omitempty"`
	InFlight int      `json:"in_flight"`
	Streams  int      `json:"streams"`
	Weight   int      `json:"weight"`
	// Limit is the most requests in flight from this edge, 0 for no bound.
	Limit int `json:"limit,omitempty"`
	// RIF is what is in flight for each unit of weight, what the node reports of other load counted in; Hot that it is above the tier's θ.
	RIF float64 `json:"rif"`
	Hot bool    `json:"hot,omitempty"`
	// Score is how slowly the node answers, against the routes' medians; SlowStart that it is new.
	Score     float64 `json:"score"`
	SlowStart bool    `json:"slow_start,omitempty"`
	// HalfOpen says that the node is back, gets one request at a time, and that none has succeeded yet.
	HalfOpen bool `json:"half_open,omitempty"`
	// Eligible says that the next pick may return the node.
	Eligible bool `json:"eligible"`
	// Reason says why it may or may not, for people.
	Reason string `json:"reason"`
}

// Explain returns every node of a pool with why the next pick may or may not return it, in the order of tiers, then of
// names. Capacity.RPS is left out of it, as it takes a clock.
func (t *Table) Explain(id topology.PoolID) []Candidate {
	p := t.view.Load().pools[id]
	if p == nil {
		return nil
	}
	t.mu.Lock() // for the drains
	defer t.mu.Unlock()
	next := p.nextLocked()
	var out []Candidate
	for _, g := range p.groups {
		for _, e := range g.all {
			c := e.candidate()
			c.Eligible, c.Reason = next.judgeLocked(e, c)
			out = append(out, c)
		}
	}
	return out
}

// stage is what the next pick comes from.
type stage struct {
	pool   *pool
	group  *group
	demand demand
	class  class
	found  bool
}

// nextLocked returns the stage at which a pick finds a node now. The caller holds Table.mu.
func (p *pool) nextLocked() stage {
	for _, s := range stages {
		for _, g := range p.groups {
			for _, e := range g.ready.Load().list(s.class).nodes {
				if e.reasonLocked(s.demand) == "" {
					return stage{pool: p, group: g, demand: s.demand, class: s.class, found: true}
				}
			}
		}
	}
	return stage{pool: p, demand: demandLeast}
}

// judgeLocked says whether the next pick may return the node, and why. The caller holds Table.mu.
func (s stage) judgeLocked(e *entry, c Candidate) (bool, string) {
	if r := e.reasonLocked(demandLeast); r != "" {
		return false, r
	}
	l := e.group.ready.Load().list(s.class)
	panics := l.has(e) && (c.Standing == StandingEjected || c.Standing == StandingDown)
	switch {
	case !s.found:
	case !l.has(e) && e.state.flags.Load()&flagReserve != 0:
		return false, drainReason(e.state.drain) + "; taken only where no other region can take it"
	case !l.has(e) && c.Standing == StandingUnknown:
		return false, "not yet checked; taken only where no node that is up can be"
	case !l.has(e) && c.Standing == StandingDown:
		return false, "down"
	case !l.has(e) && c.Standing == StandingEjected:
		return false, "ejected for what requests have seen"
	case !l.has(e) && c.Standing == StandingRefused:
		return false, "it refused a connection just now; taken only where no other node can be"
	case !l.has(e) && c.Overflow:
		return false, "overflow: gets only what the others don't take"
	case e.reasonLocked(s.demand) != "":
		return false, e.reasonLocked(s.demand)
	case s.relieves(e):
		return true, "can be picked: others wait on the zone's nodes, and it costs less than half of what they do"
	case e.group != s.group && !s.pool.begins(e.group):
		return false, s.group.first()
	case panics:
		return true, fmt.Sprintf("%s, but fewer than half of the tier's nodes are up: can be picked", c.Standing)
	case c.HalfOpen:
		return true, "half-open: it can be picked for one request, whose success lets in the rest"
	case s.demand == demandSoft && c.SlowStart:
		return true, "can be picked; slow start: it gets a part of its share"
	default:
		return true, "can be picked"
	}
	return false, c.Standing.String()
}

// relieves reports whether the node would be picked instead of the best of the zone that the next pick comes from.
func (s stage) relieves(e *entry) bool {
	g := s.group
	if _, ok := s.pool.policy.(latency); !ok || g == nil || g.rest == nil || g.rest != e.group || s.class != classUp || s.demand != demandSoft {
		return false
	}
	l, others := g.ready.Load(), g.rest.ready.Load()
	if l.panic != calm || others.panic != calm || !others.up.has(e) {
		return false
	}
	var w wish
	best := latency{}.bestOf(g, &l.up, w, 0)
	return best != nil && g.isRelieved(best, e, &w)
}

// begins reports whether a part of the picks begins with the tier.
func (p *pool) begins(g *group) bool {
	shares := p.shares.Load()
	if shares == nil {
		return g.place == 0
	}
	before := 0.0
	if g.place > 0 {
		before = (*shares)[g.place-1]
	}
	return (*shares)[g.place] > before
}

// first says that the tier is tried before another.
func (g *group) first() string {
	if g.key.zone != "" {
		return fmt.Sprintf("zone %s comes first", g.key.zone)
	}
	return fmt.Sprintf("region %s comes first", g.key.region)
}

func (e *entry) candidate() Candidate {
	st := e.state
	l := st.load()
	hard, _ := st.bounds()
	c := (&judge{}).look(e, &wish{}, 1<<24)
	return Candidate{
		Node: e.node.Name, Region: e.node.Region, Zone: e.node.Zone, Address: e.node.Address,
		Tier: e.group.place, Standing: l.Standing, Draining: l.Draining, Overflow: e.overflow, InFlight: l.InFlight, Streams: l.Streams,
		Weight: int(e.weight), Limit: int(hard), RIF: hundredths(c.rif), Hot: c.rif > max(leastTheta, e.group.tier.theta.load()),
		Score: hundredths(c.score), SlowStart: st.slow.Load(), HalfOpen: st.probe.isOpen(),
	}
}

func hundredths(v float64) float64 { return math.Round(v*100) / 100 }

// reasonLocked says what keeps the node from being picked whatever the others are, or nothing. The caller holds Table.mu.
func (e *entry) reasonLocked(at demand) string {
	st := e.state
	n, _ := st.out()
	hard, below := st.bounds()
	switch {
	case st.cut.Load().done.Load():
		return "cut at the deadline of its drain"
	case st.flags.Load()&flagDraining != 0:
		return drainReason(st.drain)
	case hard != 0 && uint64(n) >= hard:
		return fmt.Sprintf("full: %d in flight of at most %d", n, hard)
	case at < demandLeast && !st.probe.admits():
		return "half-open: its one request is not answered yet"
	case at == demandSoft && hard != 0 && uint64(n) >= below:
		return fmt.Sprintf("above the pool's utilization: %d in flight of at most %d", n, hard)
	case at == demandSoft && st.busy.Load():
		return "above the pool's utilization of its requests a second"
	case at == demandSoft && n > 0 && st.fresh.Load():
		return "new: its first request is not answered yet"
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
