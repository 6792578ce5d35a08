// SPDX-License-Identifier: Apache-2.0

package hash

import "container/heap"

// mostTurns bounds the order that Smooth makes: half a mebibyte. Weights whose sum is above it are scaled, which moves each
// member's share by less than one turn of a cycle.
const mostTurns = 1 << 17

// Smooth returns the order of weighted round robin: over one cycle each member has as many turns as its weight divided by the
// weights' greatest common divisor, spread evenly. It is the schedule of the earliest deadline first: the k-th turn of a member of
// weight w is due at (k+½)/w. Members of equal weight have one turn each, in their order.
func Smooth(members []Member) []int32 {
	w, sum := weights(members)
	if sum > mostTurns {
		scale := float64(mostTurns) / float64(sum)
		sum = 0
		for i := range w {
			w[i] = max(1, int(float64(w[i])*scale+0.5))
			sum += w[i]
		}
	}
	order := make([]int32, 0, sum)
	if sum == len(members) {
		for i := range members {
			order = append(order, int32(i))
		}
		return order
	}
	h := make(turns, len(members))
	for i := range h {
		h[i] = turn{member: int32(i), half: 1, weight: int64(w[i])}
	}
	heap.Init(&h)
	for range sum {
		order = append(order, h[0].member)
		h[0].half += 2
		heap.Fix(&h, 0)
	}
	return order
}

// turn is a member's next one, due at half/(2·weight).
type turn struct {
	member       int32
	half, weight int64
}

type turns []turn

func (t turns) Len() int      { return len(t) }
func (t turns) Swap(i, j int) { t[i], t[j] = t[j], t[i] }
func (t turns) Push(any)      {} // never called: a member has always a next turn
func (t turns) Pop() any      { return nil }

func (t turns) Less(i, j int) bool {
	if a, b := t[i].half*t[j].weight, t[j].half*t[i].weight; a != b {
		return a < b
	}
	return t[i].member < t[j].member
}
