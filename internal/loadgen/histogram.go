// SPDX-License-Identifier: Apache-2.0

package loadgen

import (
	"math"
	"math/bits"
	"time"
)

// Histogram counts durations in buckets that grow with them: 128 for each doubling, so that a quantile is at most 0.8 %
// above the truth, in 58 KiB however many there are. Below 256 ns, and for the greatest, it is exact. Its zero value is
// empty. Not safe for concurrent use.
type Histogram struct {
	counts [buckets]uint64
	n      uint64
	max    time.Duration
}

const (
	half    = 128                    // buckets for a doubling
	buckets = (63-8+1+1)*half + half // of every positive Duration
)

// bucket returns the place of a duration: below 256 itself, then by its eight highest bits.
func bucket(d time.Duration) int {
	v := uint64(max(d, 0))
	shift := max(bits.Len64(v)-8, 0)
	return shift*half + int(v>>shift)
}

// highest returns the longest duration in a bucket.
func highest(i int) time.Duration {
	if i < 2*half {
		return time.Duration(i)
	}
	shift := i/half - 1
	return time.Duration((uint64(i-shift*half)+1)<<shift - 1)
}

// Add counts a duration; a negative one counts as 0.
func (h *Histogram) Add(d time.Duration) {
	h.counts[bucket(d)]++
	h.n++
	h.max = max(h.max, d)
}

// Merge adds what another one has counted.
func (h *Histogram) Merge(o *Histogram) {
	for i, n := range o.counts {
		h.counts[i] += n
	}
	h.n += o.n
	h.max = max(h.max, o.max)
}

// Count returns how many there are.
func (h *Histogram) Count() int { return int(h.n) }

// Quantile returns the duration that the share q of all, 0..1, does not exceed. Zero where there is none.
func (h *Histogram) Quantile(q float64) time.Duration {
	if h.n == 0 {
		return 0
	}
	rank := min(max(uint64(math.Ceil(q*float64(h.n))), 1), h.n)
	var seen uint64
	for i, n := range h.counts {
		if seen += n; seen >= rank {
			return min(highest(i), h.max)
		}
	}
	return h.max
}
