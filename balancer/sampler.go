// SPDX-License-Identifier: Apache-2.0

package balancer

// sampler draws nodes of a list in proportion to weights, in constant time: Walker's alias method as Vose builds it (A linear algorithm
// for generating random numbers with a given distribution, 1991). Immutable.
type sampler struct {
	of    *list
	slots []slot
}

// slot is drawn with equal chance; with the chance keep it stands for itself, else for other.
type slot struct {
	keep  float32
	other int32
}

// leastDraw is the least weight, of the largest: no node is drawn so seldom that nothing is learned of it. Ours.
const leastDraw = 1.0 / 64

// newSampler returns a sampler of the list's nodes by weights, of which it keeps nothing; nil where they are alike.
func newSampler(of *list, weights []float64) *sampler {
	low, high, sum := weights[0], weights[0], 0.0
	for _, w := range weights {
		low, high = min(low, w), max(high, w)
	}
	if high < 1.25*low {
		return nil
	}
	for i := range weights {
		weights[i] = max(weights[i], high*leastDraw)
		sum += weights[i]
	}
	s := &sampler{of: of, slots: make([]slot, len(weights))}
	small, large := make([]int32, 0, len(weights)), make([]int32, 0, len(weights))
	for i := range weights {
		weights[i] *= float64(len(weights)) / sum
		if weights[i] < 1 {
			small = append(small, int32(i))
		} else {
			large = append(large, int32(i))
		}
	}
	for len(small) > 0 && len(large) > 0 {
		a, b := small[len(small)-1], large[len(large)-1]
		small = small[:len(small)-1]
		s.slots[a] = slot{keep: float32(weights[a]), other: b}
		if weights[b] -= 1 - weights[a]; weights[b] < 1 {
			large = large[:len(large)-1]
			small = append(small, b)
		}
	}
	for _, rest := range [][]int32{small, large} { // all of weight one but for rounding
		for _, i := range rest {
			s.slots[i] = slot{keep: 1, other: i}
		}
	}
	return s
}

// draw returns the k-th number out of one draw of 64 random bits.
func (s *sampler) draw(seed, k uint64) int {
	i := draw(seed, 2*k, len(s.slots))
	if float32(draw(seed, 2*k+1, 1<<24))/(1<<24) < s.slots[i].keep {
		return i
	}
	return int(s.slots[i].other)
}
