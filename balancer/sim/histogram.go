// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"math/bits"
	"time"
)

// histogram counts latencies in buckets that are 1/128 of their value wide, from a microsecond on. The zero value works.
type histogram struct {
	buckets [histogramBuckets]uint32
	total   uint64
	sum     time.Duration
}

const (
	// histogramBits are those of a value below its first that tell its bucket: 0.8 % is well below the 5 % by which policies
	// are compared, and the place within a bucket is interpolated.
	histogramBits    = 7
	histogramBuckets = (36 - histogramBits) << histogramBits // up to 19 hours
)

func (h *histogram) add(d time.Duration) {
	h.buckets[bucketOf(d)]++
	h.total++
	h.sum += d
}

func bucketOf(d time.Duration) int {
	us := uint64(max(0, d) / time.Microsecond)
	if us < 1<<histogramBits {
		return int(us)
	}
	shift := bits.Len64(us) - histogramBits - 1
	return min(shift<<histogramBits+int(us>>shift), histogramBuckets-1)
}

// bounds returns what a bucket holds, in microseconds: from low, below low+width.
func bounds(bucket int) (low, width float64) {
	if bucket < 2<<histogramBits {
		return float64(bucket), 1
	}
	shift := bucket>>histogramBits - 1
	return float64(uint64(bucket-shift<<histogramBits) << shift), float64(uint64(1) << shift)
}

// quantile returns the latency that the share q of all doesn't exceed, zero if there is none.
func (h *histogram) quantile(q float64) time.Duration {
	rank := q * float64(h.total)
	seen := 0.0
	for i, n := range h.buckets {
		if n == 0 {
			continue
		}
		if seen+float64(n) >= rank {
			low, width := bounds(i)
			return time.Duration((low + width*(rank-seen)/float64(n)) * float64(time.Microsecond))
		}
		seen += float64(n)
	}
	return 0
}

func (h *histogram) mean() time.Duration {
	if h.total == 0 {
		return 0
	}
	return h.sum / time.Duration(h.total)
}
