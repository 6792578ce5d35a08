// SPDX-License-Identifier: Apache-2.0

package balancer

import (
	"math"
	"sync/atomic"
	"time"

	"meridian/topology"
)

const (
	// headroom is by how much answers may be slower than without a queue before the limit falls. Envoy's buffer is the same.
	headroom = 1.25
	// adaptSamples is of how many answers at least a 90 % quantile is made. Ours: below, it is one answer's time.
	adaptSamples = 30
	// firstLimit is where a node's limit begins. Netflix's: so low that a node which begins under overload shows how fast it can be.
	firstLimit = 20
	// leastWindow is over what time the least quantile is known: two halves of it. There is no pinning of a node's requests to measure it
	// empty, which would refuse what it can do; but at each half the limit dips to a half for one step, or under lasting overload
	// the least would be forgotten and the limit creep up.
	leastWindow = 60 * time.Second
	dip         = 0.5
	// binsPerOctave are the steps of the histogram: 9 %, from 16 µs to two hours.
	binsPerOctave = 8
	bins          = 29 * binsPerOctave
	leastBin      = float64(16 * time.Microsecond)
)

// adaptive is a node's limit of requests in flight as its answers' times set it:
//
//	gradient = clamp(1.25 × least p90 / p90, 0.5, 2)
//	limit    = gradient × limit + √limit, within the pool's bounds
//
// p90 is that of the live answers' times since the last change; the least is that of the last minute. It is of the times as they are, not
// against their routes' medians, which follow when all nodes are overloaded: a pool whose requests differ much in what they take, and
// whose mix changes, is better served by a capacity. The root lets the limit grow while nothing is slower; it does not grow above twice what was in flight, so that an idle node has no limit
// that its answers have not borne out. Taking in an answer takes no lock.
type adaptive struct {
	bins [bins]atomic.Uint32
	n    atomic.Uint32

	// Guarded by Table.mu.

	limit        float64
	least, older float64 // of this half of the window and of the one before; 0: none
	turned       int64   // when the half began
}

// learn takes an answer's time in.
func (a *adaptive) learn(elapsed float64) {
	i := int(binsPerOctave * math.Log2(max(elapsed, leastBin)/leastBin))
	a.bins[min(i, bins-1)].Add(1)
	a.n.Add(1)
}

// takeLocked returns the 90 % quantile of what was learned since the last time, and 0 where that is too little. The caller holds Table.mu.
func (a *adaptive) takeLocked() float64 {
	n := a.n.Load()
	if n < adaptSamples {
		return 0
	}
	a.n.Add(-n)
	seen, want, at := uint32(0), n-n/10, -1
	for i := range a.bins {
		seen += a.bins[i].Swap(0)
		if seen >= want && at < 0 {
			at = i
		}
	}
	if at < 0 {
		at = bins - 1 // answers came in between
	}
	return leastBin * math.Exp2((float64(at)+0.5)/binsPerOctave)
}

// adaptLocked works the limit out anew. peak is the most that was in flight in the last second. The caller holds Table.mu.
func (a *adaptive) adaptLocked(now int64, peak int, bounds topology.Limit) {
	if a.limit == 0 {
		a.limit = firstLimit
	}
	if p90 := a.takeLocked(); p90 > 0 {
		turn := now-a.turned >= int64(leastWindow/2) || now < a.turned
		if turn {
			a.older, a.least, a.turned = a.least, 0, now
		}
		if a.least == 0 || p90 < a.least {
			a.least = p90
		}
		least := a.least
		if a.older > 0 {
			least = min(least, a.older)
		}
		gradient := min(max(headroom*least/p90, 0.5), 2)
		next := gradient*a.limit + math.Sqrt(a.limit)
		if next > a.limit {
			next = max(a.limit, min(next, 2*float64(peak)))
		}
		if a.limit = next; turn && a.older > 0 {
			a.limit *= dip
		}
	}
	a.limit = min(max(a.limit, float64(bounds.Min)), float64(bounds.Max))
}
