// SPDX-License-Identifier: Apache-2.0

package health

import (
	"sync/atomic"
	"time"
)

// Buckets of a second each. Exact counts, after Linkerd's breaker: an average that decays hides a tight burst of failures.
const windowSeconds = 10

// window counts requests and those of them that failed over the last ten seconds, the running one included. Without a lock: each
// bucket is one word. Its counts stop at a million requests of one target in one second.
type window struct {
	buckets [windowSeconds]atomic.Uint64
}

// The word: the second, of which the low 24 bits are enough to tell this round of the ring from an older one for half a year, then
// the requests, then the failures.
const (
	countBits  = 20
	countMost  = 1<<countBits - 1
	secondMask = 1<<24 - 1
)

func secondOf(now time.Time) uint64 { return uint64(now.Unix()) & secondMask }

// add counts a request.
func (w *window) add(now time.Time, failed bool) {
	second := secondOf(now)
	b := &w.buckets[now.Unix()%windowSeconds]
	for {
		old := b.Load()
		next := old
		if old>>(2*countBits) != second {
			next = second << (2 * countBits)
		}
		if next>>countBits&countMost == countMost {
			return
		}
		next += 1 << countBits
		if failed {
			next++
		}
		if b.CompareAndSwap(old, next) {
			return
		}
	}
}

// sum returns the counts of the last ten seconds.
func (w *window) sum(now time.Time) (requests, failures uint64) {
	second := secondOf(now)
	for i := range w.buckets {
		b := w.buckets[i].Load()
		if (second-b>>(2*countBits))&secondMask < windowSeconds {
			requests += b >> countBits & countMost
			failures += b & countMost
		}
	}
	return requests, failures
}

// clear forgets what was counted: for a target that comes back.
func (w *window) clear() {
	for i := range w.buckets {
		w.buckets[i].Store(0)
	}
}
