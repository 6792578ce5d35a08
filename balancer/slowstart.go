// SPDX-License-Identifier: Apache-2.0

package balancer

import "math"

const (
	// leastShare is the part of its share with which a node begins its slow start. Envoy's.
	leastShare = 0.1
	// provenAnswers is after how many answers that were no slower than provenRatio × the tier's a node has twice the part that it had: as
	// TCP's slow start, it goes by what is answered, and by the clock only where that says nothing. Ours: of twenty answers the mean
	// is known to a fifth, and 1.5 is thrice what counts as alike. From simulation: without it, a tier above its capacity waits the
	// whole window for a node that could have helped.
	provenAnswers = 20
	provenRatio   = 1.5
	// warmingPower is what the logarithm of a node's slowness counts in a tier that is warming, up to fourSlower: a quarter. From
	// simulation: with nothing, queues are alike where speeds are not; with a half, those are avoided that only requests warm up.
	warmingPower = 0.25
	// warmingAge is the usual age of the oldest request in such a tier, in medians: caches that are filled make outliers. Ours.
	warmingAge = 10
)

// earned is the part of its share that a node in slow start has shown that it can take, and after how many answers.
type earned struct {
	part float64
	at   uint64
}

// earnLocked doubles the part of a node whose answers are as fast as its tier's. The caller holds Table.mu.
func (st *state) earnLocked(typical float64) float64 {
	switch n := st.speed.answers.Load(); {
	case n < st.earned.at || st.earned.part == 0:
		st.earned = earned{leastShare, n}
	case n-st.earned.at >= provenAnswers && st.value <= provenRatio*typical:
		st.earned = earned{2 * st.earned.part, n}
	}
	return st.earned.part
}

// beginSlowStart has the node begin, when it is up, with a part of its share, and with one request until that is answered. Its speed, of
// which nothing is known, is taken for its tier's.
func (st *state) beginSlowStart() {
	st.since = 0
	st.earned = earned{}
	st.slow.Store(true)
	st.fresh.Store(true)
}

func (st *state) endSlowStart() {
	st.slow.Store(false)
	st.fresh.Store(false)
}

// shareOutLocked publishes the node's share as of now: in slow start max(0.1, t/window) of it, or what it has earned. The caller holds
// Table.mu.
func (e *entry) shareOutLocked(now int64) {
	st, share := e.state, e.share
	if st.slow.Load() {
		if st.since == 0 && Standing(st.standing.Load()) == StandingUp {
			st.since = now
		}
		part := leastShare
		if st.since != 0 {
			window := float64(e.group.pool.spec.EffectiveSlowStart())
			part = max(float64(now-st.since)/window, st.earnLocked(e.group.tier.typical.load()))
		}
		if part >= 1 {
			st.endSlowStart()
		}
		share *= min(1, part)
	}
	st.share.store(share)
}

// endSlowStartLocked ends it for all where more than half of those that are up are in it: the others could not carry the tier meanwhile,
// and there is nobody to hold them against. Where the others have answered before, the tier is warming for the pool's slow start: what
// tells new nodes from old then is caches more than nodes, and who is avoided for a cold one stays cold. The caller holds Table.mu.
func (g *group) endSlowStartLocked(now int64) {
	nodes, slow, known := g.ready.Load().up.nodes, 0, false
	for _, e := range nodes {
		if e.state.slow.Load() {
			slow++
		} else {
			known = known || e.state.speed.answers.Load() > 0
		}
	}
	t := g.tier
	if 2*slow <= len(nodes) {
		t.warming.Store(now < t.warm)
		return
	}
	if known {
		t.warm = now + int64(g.pool.spec.EffectiveSlowStart())
	}
	t.warming.Store(now < t.warm)
	for _, e := range nodes {
		e.state.endSlowStart()
		e.state.share.store(e.share)
	}
}

// tempered returns what a speed counts as in a tier that may be warming.
func (t *tier) tempered(v, typical float64) float64 {
	if !t.warming.Load() {
		return v
	}
	d := math.Log(v / typical)
	bound := min(max(d, -fourSlower), fourSlower)
	return typical * math.Exp(d-bound+bound*warmingPower)
}

// takes reports whether the k-th draw falls into the part of the node's share that its slow start leaves it: so do policies thin out
// what they would send it that go by nothing else.
func (e *entry) takes(seed, k uint64) bool {
	return !e.state.slow.Load() || float64(draw(seed, 1<<40+k, 1<<24)) < float64(1<<24)*e.state.share.load()/e.share
}

// shareIn returns the node's share as one pick that compares n nodes sees it. In slow start that is mostly a part of it, by which under load it gets
// as much less; but where all are idle, a node of a tenth of the others' share would always lose. So it is seen whole as often as it
// takes to have the part of an nth of the picks that its slow start leaves it.
func (e *entry) shareIn(w *wish, n int) float64 {
	share := e.state.share.load()
	if e.state.slow.Load() && float64(draw(w.rand, 1<<42+uint64(e.place), 1<<24))*float64(n) < float64(1<<24)*share/e.share {
		return e.share
	}
	return share
}
