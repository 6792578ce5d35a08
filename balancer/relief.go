// SPDX-License-Identifier: Apache-2.0

package balancer

// A zone's nodes are fewer than a region's, so their queue is the shorter one to overflow: at 95 % of capacity half the nodes mean twice the
// wait, while the rest of the region may have nodes that nearly idle. Where nodes have a capacity, the tiers' shares follow that; where
// they have none, a pick finds it here: a request for whose node in the zone others wait already goes to the rest of the region if it costs
// less than half there. It never leaves the region, with few in flight never the zone, and neither
// of the two may be in panic.
const (
	// reliefWaits is what must be in flight on the zone's best node, if it has the zone's mean weight: most nodes work on some at once, and below that
	// nothing waits.
	reliefWaits = 3
	// reliefGain is by how much it must cost less to leave the zone: another zone's traffic costs money and a millisecond.
	reliefGain = 2
)

// relieve returns the node to pick instead of e, the best of the zone's list l: a node of the rest of the region, or e itself.
func (g *group) relieve(e *entry, l *list, w *wish, round uint64) *entry {
	if g.rest == nil || w.demand != demandSoft || l.of != 1<<classUp {
		return e
	}
	if (&judge{}).look(e, w, len(g.all)).rif < reliefWaits { // as mostly: the rest need not be looked at
		return e
	}
	others := g.rest.ready.Load().list(classUp)
	if len(others.nodes) == 0 || others.of != 1<<classUp { // nor to a tier in panic
		return e
	}
	other := latency{}.bestOf(g.rest, others, *w, round)
	if other == nil {
		return e
	}
	if g.isRelieved(e, other, w) {
		return other
	}
	return e
}

// isRelieved reports whether other, of the rest of the region, is to be picked instead of e, the best of the zone.
func (g *group) isRelieved(e, other *entry, w *wish) bool {
	var j judge
	c, o := j.look(e, w, len(g.all)), j.look(other, w, len(g.rest.all))
	return c.rif >= reliefWaits && o.cost*reliefGain/g.rest.unit() < c.cost/g.unit()
}

// unit is the mean weight, by which entry.share counts.
func (g *group) unit() float64 { return float64(g.weight) / float64(len(g.all)) }
