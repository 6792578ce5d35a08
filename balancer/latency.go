// SPDX-License-Identifier: Apache-2.0

package balancer

import (
	"math"
	"slices"
	"sync/atomic"
)

// latency is the default policy. What a node answers slowly it is picked less for, but never so that the fast ones fill up: of nodes that
// are about as fast, one with more in flight than most of its tier (hot) loses against one that has not, which is Prequal's rule.
//
//	rif   = (in flight + excess) / weight
//	hot   = rif > θ, the 84 % quantile of rif over the tier, at least 2
//	speed = what the node's answers took, against their routes' medians, less what its own queue explains: see entry.explained
//	score = max(speed, age of the oldest request that waits), both against the tier's; within 1.1 times that it is the tier's, what
//	        is beyond counts less by the factor; in steps of 10 %
//	cost  = score × (in flight + excess + 1) / weight
//
// Of two cold nodes the one of less cost is picked, of a cold and a hot one the cold one, of two hot ones that with less rif. Where the
// scores differ by more than 1.9, cost decides alone: there is no room on a node that doesn't answer, and an idle slow node is
// slower than a busy fast one. Ties go to the node with fewer picks in the last second.
//
// Up to 32 nodes are all looked at, at some 20 ns each, else five that are drawn: at 95 % of capacity two draws cost a
// fifth of the 99 % quantile. Nodes are drawn by weight / score²: with half of them 16 times slower, a quarter of uniform pairs would
// be two slow ones, of which one would have to be picked.
//
// Why not the speed as measured: a node's times hold the waiting that its own queue makes, which rif has counted already, so nodes that
// are alike would take turns at being avoided, and above capacity one that has been avoided would stay so while the others' queues grow.
// So half of it, by logarithms, is taken out.
type latency struct{}

const (
	hotQuantile = 0.84 // 2^-¼, Prequal's
	leastTheta  = 2
	// From the simulation in this package's tests: with the exponent of draws, the least that holds all of its bounds.
	muchSlower = 1.9
	lookAll    = 32
	looks      = 5
	// latencyDraws is how often a pick draws before it scans.
	latencyDraws = 16
)

// judge holds what nodes of a tier are compared by.
type judge struct {
	theta float64
}

// candidate is a node as one pick sees it.
type candidate struct {
	entry            *entry
	rif, score, cost float64
}

// look reads the state of one of n nodes.
func (j *judge) look(e *entry, w *wish, n int) candidate {
	st := e.state
	inFlight := float64(uint32(st.counts.Load())) + st.excess.load()
	share := e.shareIn(w, n)
	return candidate{entry: e, rif: inFlight / share, score: st.score.load(), cost: st.score.load() * (inFlight + 1) / share}
}

// compare returns below zero if a is to be picked rather than b, above zero if b is, and zero if they are alike.
func (j *judge) compare(a, b *candidate) float64 {
	hotA, hotB := a.rif > j.theta, b.rif > j.theta
	d := a.cost - b.cost
	switch {
	case a.score*muchSlower < b.score, b.score*muchSlower < a.score: // cost alone
	case hotA && hotB:
		d = a.rif - b.rif
	case hotA:
		return 1
	case hotB:
		return -1
	}
	if d == 0 {
		d = a.entry.lately() - b.entry.lately()
	}
	return d
}

// choose implements policy.
func (p latency) choose(g *group, l *list, w wish, round uint64) *entry {
	e := p.bestOf(g, l, w, round)
	if e == nil {
		return nil
	}
	return g.relieve(e, l, &w, round)
}

// bestOf returns the node of the list to pick, or nil.
func (latency) bestOf(g *group, l *list, w wish, round uint64) *entry {
	t := g.tier
	j := judge{theta: max(leastTheta, t.theta.load())}
	if len(l.nodes) <= lookAll {
		return j.best(l.nodes, w, round)
	}
	s := t.sampler.Load()
	if s != nil && s.of != l {
		s = nil // the list has changed since
	}
	var found candidate
	var seen [looks]*entry
	n := 0
	for k := range uint64(latencyDraws) {
		var e *entry
		if s != nil && k < latencyDraws/2 { // with one node far faster than all others, only uniform draws find a second
			e = l.nodes[s.draw(w.rand, round*latencyDraws+k)]
		} else {
			e = l.nodes[draw(w.rand, round*latencyDraws+k, len(l.nodes))]
		}
		if slices.Contains(seen[:n], e) || !w.allows(e) {
			continue
		}
		c := j.look(e, &w, looks)
		if n == 0 || j.compare(&c, &found) < 0 {
			found = c
		}
		seen[n] = e
		if n++; n == looks {
			break
		}
	}
	if n > 1 {
		return found.entry
	}
	return j.best(l.nodes, w, round)
}

// best returns the best of all nodes that are open, a random one of several, or nil.
func (j *judge) best(nodes []*entry, w wish, round uint64) *entry {
	var found candidate
	ties := 0
	for _, e := range nodes {
		if !w.allows(e) {
			continue
		}
		c := j.look(e, &w, len(nodes))
		d := -1.0
		if found.entry != nil {
			d = j.compare(&c, &found)
		}
		switch {
		case d < 0:
			found, ties = c, 1
		case d == 0:
			ties++ // each of k equal ones ends up as found with the chance 1/k
			if draw(w.rand, (round+1)*1<<32+uint64(ties), ties) == 0 {
				found = c
			}
		}
	}
	return found.entry
}

// lately returns the picks of the last second for each unit of weight.
func (e *entry) lately() float64 {
	st := e.state
	return float64(st.picks.Load()-st.picksBefore.Load()) / st.share.load()
}

// number is a float32 that is read and written whole.
type number struct{ bits atomic.Uint32 }

func (n *number) load() float64   { return float64(math.Float32frombits(n.bits.Load())) }
func (n *number) store(v float64) { n.bits.Store(math.Float32bits(float32(v))) }

// rate publishes a node's score.
func (st *state) rate(score float64) { st.score.store(score) }

// explained returns by what the ratio of an answer is to be multiplied, so that what is left is more the node's speed than its queue's:
// before is what was in flight on the node when the request came, for which the tier's median has crowd. It is the square root of
// that, as nodes may have room for more than they have, and then nothing waits: cost still grows with what is in flight, by its root.
func (e *entry) explained(before uint64) float64 {
	own := (float64(before) + e.state.excess.load()) / e.share
	return math.Sqrt((e.group.tier.crowd.load() + 1) / (own + 1))
}
