// SPDX-License-Identifier: Apache-2.0

package balancer

// roundRobin takes the nodes in turn, a heavier one more often, spread evenly: the order is made beforehand (hash.Smooth), and a
// pick takes the next turn by one atomic addition. A turn whose node can't be picked is passed over, so that the others go on
// in their order and nobody gets its share whole.
type roundRobin struct{}

// maxTurns is how many turns a pick passes over before it takes any node that is open.
const maxTurns = 64

// choose implements policy.
func (roundRobin) choose(g *group, l *list, w wish, round uint64) *entry {
	t := g.table.Load()
	if t == nil || len(t.order) == 0 {
		return random{}.choose(g, l, w, round)
	}
	if g.tier.turn.Load() == 0 { // so that edges don't all begin with the same node
		g.tier.turn.CompareAndSwap(0, w.rand>>1)
	}
	for range min(maxTurns, 2*len(t.order)) {
		turn := g.tier.turn.Add(1)
		if e := t.nodes[t.order[turn%uint64(len(t.order))]]; e != nil && l.has(e) && w.allows(e) && e.takes(w.rand, turn) {
			return e
		}
	}
	return anyOf(l.nodes, w, round)
}
