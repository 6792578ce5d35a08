// SPDX-License-Identifier: Apache-2.0

package balancer

import (
	"math"
	"time"
)

// overProvision is by how much a tier is taken to have more nodes than it needs: until 71 % of them are up, it keeps all of its traffic.
// Envoy's.
const overProvision = 1.4

// leastRoom is what is left to a tier or region of which a node is up, however full it is: without traffic nobody learns that there is
// room again.
const leastRoom = 0.05

// load is what a set of nodes can do and does.
type load struct {
	up, all          float64 // weight of those that can be picked, and of all
	used, goal, full float64 // in flight, Σ target × capacity, Σ capacity of those that can be picked and have one
	sent, pace, rate float64 // the same a second
}

// room is the availability A of the one capacity model, by which edges choose tiers and DNS chooses regions:
//
//	A = H × clamp((C − L) / (C − T), 0, 1)     H = min(1, 1.4 × weight up / weight)
//
// with L what is in flight, C the nodes' capacity and T their targets, 0.8 × capacity if they don't say otherwise: then the fraction is
// (1 − utilization) / 0.2. It is what is left when the fraction (L − T) / (C − T) of new work is shed, which is how an authority
// sheds regions: none below the target, all at the capacity. Of requests in flight and a second, what is less counts.
func (l load) room() float64 {
	if l.up == 0 {
		return 0
	}
	a := l.health()
	if l.full > 0 {
		a *= min(1, max(0, (l.full-l.used)/max(l.full-l.goal, 1e-9)))
	}
	if l.rate > 0 {
		a = min(a, l.health()*min(1, max(0, (l.rate-l.sent)/max(l.rate-l.pace, 1e-9))))
	}
	return max(leastRoom, a)
}

func (l load) health() float64 {
	if l.all == 0 {
		return 0
	}
	return min(1, overProvision*l.up/l.all)
}

// utilization returns how much of its capacity is used, of connections or requests a second, what is more; 0 without capacities.
func (l load) utilization() float64 {
	u := 0.0
	if l.full > 0 {
		u = l.used / l.full
	}
	if l.rate > 0 {
		u = max(u, l.sent/l.rate)
	}
	return u
}

// add takes a node in. Those of role overflow are no part of what a tier has. One that answers nothing, or only with failures, is not up,
// whatever its checks have said so far; far has more patience with silence, for what would else go to another region.
func (l *load) add(e *entry, far bool) {
	if e.overflow {
		return
	}
	st := e.state
	l.all += float64(e.weight)
	lost := st.lost
	if far {
		lost = st.farLost
	}
	if s := Standing(st.standing.Load()); st.flags.Load() != 0 || s != StandingUp && s != StandingUnknown || lost {
		return
	}
	l.up += float64(e.weight)
	target := e.node.EffectiveTarget()
	if c := float64(e.node.Capacity.Connections); c > 0 {
		inFlight, _ := st.out()
		used := float64(inFlight) + st.others.inFlight
		if st.own.load != nil {
			used = max(used, float64(st.own.load.InFlight)) // there are clients that are no edges
		}
		l.used, l.goal, l.full = l.used+used, l.goal+target*c, l.full+c
	}
	if c := e.node.Capacity.RPS; c > 0 {
		l.sent, l.pace, l.rate = l.sent+st.perSecond()+st.others.perSecond, l.pace+target*c, l.rate+c
	}
}

func (g *group) load(far bool) load {
	var l load
	for _, e := range g.all {
		l.add(e, far)
	}
	return l
}

// isLastNear reports whether what the tier has no room for goes to another region.
func (p *pool) isLastNear(g *group) bool {
	next := g.place + 1
	return next < len(p.groups) && p.groups[next].key.region != g.key.region
}

// damped follows a value slowly and stands still for small changes, so that edges which look at the same nodes don't all leave at once, and
// come back at once.
type damped struct {
	smooth, shown float64
	known         bool
}

const (
	// dampTau is the time constant of it, band by how much the smoothed value must differ from what is shown.
	dampTau = 1500 * time.Millisecond
	band    = 0.02
)

// follow takes in a value that holds since a time.
func (d *damped) follow(v float64, since int64) {
	if !d.known {
		*d = damped{smooth: v, shown: v, known: true}
		return
	}
	if v == 0 { // nothing is there: that is no matter of damping
		*d = damped{known: true}
		return
	}
	d.smooth += (v - d.smooth) * (1 - math.Exp(-float64(max(0, since))/float64(dampTau)))
	if math.Abs(d.smooth-d.shown) > band {
		d.shown = d.smooth
	}
	if math.Abs(d.smooth-v) < band/4 && v == 1 {
		d.shown = v
	}
}

// shareLocked publishes what part of the picks begins with which tier: the first takes what it has room for, the next of what is left, and
// so on; if all together have not enough, each more in proportion. The caller holds Table.mu.
func (p *pool) shareLocked() {
	left, sum := 1.0, 0.0
	shares := make([]float64, len(p.groups))
	for i, g := range p.groups {
		room := 1.0
		if g.tier.room.known {
			room = g.tier.room.shown
		}
		sum += min(left, room)
		shares[i] = sum
		left -= min(left, room)
	}
	if len(shares) == 0 || sum == 0 || shares[0] >= sum-1e-9 {
		p.shares.Store(nil)
		return
	}
	for i := range shares {
		shares[i] /= sum
	}
	p.shares.Store(&shares)
}

// first returns the tier that a pick begins with. A request with a key goes by that, so that it stays where it is as long as shares do.
func (p *pool) first(w *wish) int {
	shares := p.shares.Load()
	if shares == nil {
		return 0
	}
	seed := w.rand
	if w.hasKey {
		seed = w.key
	}
	x := float64(draw(seed, 1<<41, 1<<24)) / (1 << 24)
	for i, upTo := range *shares {
		if x < upTo {
			return i
		}
	}
	return 0
}

// tierAt returns the tier that is tried i-th where first is tried first: then all others in their order.
func (p *pool) tierAt(i, first int) *group {
	switch {
	case i == 0:
		return p.groups[first]
	case i <= first:
		return p.groups[i-1]
	}
	return p.groups[i]
}
