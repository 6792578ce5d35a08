// SPDX-License-Identifier: Apache-2.0

package balancer

import "meridian/balancer/hash"

// random takes each node as often as its weight says.
type random struct{}

// randomDraws is how often the policy draws before it takes any node that is open. Ours: where one node in ten is open, 64 draws
// miss it once in a thousand picks.
const randomDraws = 64

// choose implements policy.
func (random) choose(g *group, l *list, w wish, round uint64) *entry {
	from := l.nodes
	t := g.table.Load()
	weighted := !g.equal && t != nil
	if weighted {
		from = t.nodes
	}
	for k := range uint64(randomDraws) {
		if len(from) == 0 {
			break
		}
		i := draw(w.rand, round*randomDraws+k, len(from))
		if weighted {
			i = int(t.order[draw(w.rand, round*randomDraws+k, len(t.order))])
		}
		if e := from[i]; e != nil && (!weighted || l.has(e)) && w.allows(e) && e.takes(w.rand, k) {
			return e
		}
	}
	return anyOf(l.nodes, w, round)
}

// anyOf returns the first node from a random place on that is open, or nil.
func anyOf(nodes []*entry, w wish, round uint64) *entry {
	if len(nodes) == 0 {
		return nil
	}
	start := draw(w.rand, hash.Mix(round), len(nodes))
	for i := range nodes {
		if e := nodes[(start+i)%len(nodes)]; w.allows(e) {
			return e
		}
	}
	return nil
}
