// SPDX-License-Identifier: Apache-2.0

package balancer

const (
	// scanAll is up to how many nodes are all looked at. Ours: at so few a scan costs what two draws do, and finds the best.
	scanAll = 4
	// maxDraws is how often a pick draws before it scans. Ours: with half of the nodes full or tried, 8 draws miss two
	// that can be picked in 4 % of picks.
	maxDraws = 8
)

// leastRequest takes of two distinct random nodes, of all up to four, the one with the lower (in flight + 1) / weight.
type leastRequest struct{}

// choose implements policy. Each pair of the nodes that are open is as likely as any other.
func (leastRequest) choose(_ *group, l *list, w wish, round uint64) *entry {
	nodes := l.nodes
	if len(nodes) <= scanAll {
		return lightest(nodes, w, round)
	}
	var one *entry
	for k := range uint64(maxDraws) {
		e := nodes[draw(w.rand, round*maxDraws+k, len(nodes))]
		switch {
		case e == one || !w.allows(e):
		case one == nil:
			one = e
		case e.lighter(one, &w, 2):
			return e
		default:
			return one // also in a tie: which of the two was drawn first is random
		}
	}
	return lightest(nodes, w, round)
}

// lightest returns the lightest of all nodes that are open, a random one of several, or nil.
func lightest(nodes []*entry, w wish, round uint64) *entry {
	var found *entry
	ties := 0
	for _, e := range nodes {
		switch {
		case !w.allows(e):
		case found == nil || e.lighter(found, &w, len(nodes)):
			found, ties = e, 1
		case !found.lighter(e, &w, len(nodes)):
			ties++ // each of k equal ones ends up as found with the chance 1/k
			if draw(w.rand, (round+1)*1<<32+uint64(ties), ties) == 0 {
				found = e
			}
		}
	}
	return found
}

// lighter reports whether (in flight + 1) / weight is lower on e than on o, of n nodes.
func (e *entry) lighter(o *entry, w *wish, n int) bool {
	a, b := float64(uint32(e.state.counts.Load())), float64(uint32(o.state.counts.Load()))
	return (a+1)*o.shareIn(w, n) < (b+1)*e.shareIn(w, n)
}
