// SPDX-License-Identifier: Apache-2.0

package balancer

import "math"

// hashed takes the node to which a request's key belongs, by a Maglev table or a ring, within a bound: a node has at most load
// times its fair share of the leases that are out in its tier, this one counted, rounded up (Mirrokni, Thorup, Zadimoghaddam:
// Consistent Hashing with Bounded Loads, arXiv 1608.01350). What is above it goes on: by random jumps over a Maglev table, to the
// next points of a ring; both are the same for one key each time, so that it keeps its second node, too.
//
// Shares are by weight and of the nodes that can be picked now. There is no slow start: a key belongs where it belongs.
type hashed struct{ load float64 }

// maxJumps is how many places a key is looked for before the nodes are gone through. Ours: even with half of the nodes gone or above
// their bound, one key in four billion is not placed by then.
const maxJumps = 32

// choose implements policy.
func (h hashed) choose(g *group, l *list, w wish, round uint64) *entry {
	if !w.hasKey {
		return leastRequest{}.choose(g, l, w, round)
	}
	t := g.table.Load()
	if t == nil || t.places() == 0 {
		return h.walk(g, l, w)
	}
	place := t.find(w.key)
	for n := range maxJumps {
		if e := t.at(w.key, place, n); e != nil && l.has(e) && w.allows(e) && h.fits(g, l, e) {
			return e
		}
	}
	return h.walk(g, l, w)
}

// walk returns the first node within its bound from the key's place in the list on, else the first that is open.
func (h hashed) walk(g *group, l *list, w wish) *entry {
	if len(l.nodes) == 0 {
		return nil
	}
	var open *entry
	start := draw(w.key, 0, len(l.nodes))
	for i := range l.nodes {
		e := l.nodes[(start+i)%len(l.nodes)]
		if !w.allows(e) {
			continue
		}
		if h.fits(g, l, e) {
			return e
		}
		if open == nil {
			open = e
		}
	}
	return open
}

// fits reports whether one more lease keeps the node within its bound.
func (h hashed) fits(g *group, l *list, e *entry) bool {
	inFlight, streams := e.state.out()
	fair := float64(g.tier.out.Load()+1) * float64(e.weight) / float64(max(1, l.weight))
	return float64(inFlight+streams+1) <= math.Ceil(h.load*fair)
}
