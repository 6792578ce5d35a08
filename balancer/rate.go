// SPDX-License-Identifier: Apache-2.0

package balancer

import (
	"sync/atomic"
	"time"
)

// rate is a bound of requests a second as the generic cell rate algorithm (ITU-T I.371, virtual scheduling) keeps it:
// one word of state per node, no timer. The burst is a tenth of a second's requests, at least one. Zero: no bound.
type rate struct {
	interval  int64 // nanoseconds between two requests at the full rate
	tolerance int64 // nanoseconds by which requests may be early: interval × (burst-1)
}

// maxSkew is by how much two callers' clocks may differ before the bucket takes the clock for set back. Ours: all
// callers of one process read one clock, a moment apart.
const maxSkew = time.Second

// rateOf returns the rate of so many nanoseconds between two requests.
func rateOf(interval int64) rate {
	if interval <= 0 {
		return rate{}
	}
	burst := max(1, int64(time.Second)/interval/10)
	return rate{interval: interval, tolerance: interval * (burst - 1)}
}

// next returns the arrival time to store if a request is let in at now, and whether it may be.
func (r rate) next(arrival, now int64) (int64, bool) {
	if arrival > now+r.tolerance+r.interval+int64(maxSkew) {
		arrival = now // the clock was set back; without this the node would be shut until it catches up
	}
	if arrival > now+r.tolerance {
		return 0, false
	}
	return max(arrival, now) + r.interval, true
}

// open reports whether take would let a request in.
func (r rate) open(word *atomic.Int64, now int64) bool {
	if r.interval == 0 {
		return true
	}
	_, ok := r.next(word.Load(), now)
	return ok
}

// take lets one request in, or reports false. It does not block: a lost race is tried again on a newer value.
func (r rate) take(word *atomic.Int64, now int64) bool {
	if r.interval == 0 {
		return true
	}
	for {
		old := word.Load()
		next, ok := r.next(old, now)
		if !ok {
			return false
		}
		if word.CompareAndSwap(old, next) {
			return true
		}
	}
}
