// SPDX-License-Identifier: Apache-2.0

package balancer

// leastShare is the part of its share with which a node begins its slow start. Envoy's.
const leastShare = 0.1

// beginSlowStart has the node begin, when it is up, with a part of its share, and with one request until that is answered. Its speed, of
// which nothing is known, is taken for its tier's.
func (st *state) beginSlowStart() {
	st.since = 0
	st.slow.Store(true)
	st.fresh.Store(true)
}

func (st *state) endSlowStart() {
	st.slow.Store(false)
	st.fresh.Store(false)
}

// shareOutLocked publishes the node's share as of now: max(0.1, t/window) of it in slow start. The caller holds Table.mu.
func (e *entry) shareOutLocked(now int64) {
	st, share := e.state, e.share
	if st.slow.Load() {
		if st.since == 0 && Standing(st.standing.Load()) == StandingUp {
			st.since = now
		}
		part := leastShare
		if st.since != 0 {
			part = max(leastShare, float64(now-st.since)/float64(e.group.pool.spec.EffectiveSlowStart()))
		}
		if part >= 1 {
			st.endSlowStart()
		}
		share *= min(1, part)
	}
	st.share.store(share)
}

// endSlowStartLocked ends it for all where more than half of those that are up are in it: the others could not carry the tier meanwhile,
// and there is nobody to hold them against. The caller holds Table.mu.
func (g *group) endSlowStartLocked() {
	nodes, slow := g.ready.Load().up.nodes, 0
	for _, e := range nodes {
		if e.state.slow.Load() {
			slow++
		}
	}
	if 2*slow <= len(nodes) {
		return
	}
	for _, e := range nodes {
		e.state.endSlowStart()
		e.state.share.store(e.share)
	}
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
