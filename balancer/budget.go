// SPDX-License-Identifier: Apache-2.0

package balancer

import "sync/atomic"

// Budget bounds how many of a pool's requests may be retries: nodes that fail under load get more load from every retry, and without
// a bound never recover. A part of the requests under way may be, and beyond that the same part of those that have ended well lately: a node
// that dies with all it has is one burst, after which nothing comes there. The zero value works. Safe for concurrent use, without a lock.
type Budget struct {
	live     atomic.Int64 // requests under way, retries included
	retrying atomic.Int64 // those of them that are on a further try
	ended    atomic.Int64 // requests that have ended well and that no retry was made for
}

// mostEnded is up to how many ended requests are kept for retries: at 20 %, for a thousand at once. Ours.
const mostEnded = 5000

// Begin counts a request, until End.
func (b *Budget) Begin() { b.live.Add(1) }

// End ends Begin. well says that the request has been answered, and no retry can be needed for it any more.
func (b *Budget) End(well bool) {
	b.live.Add(-1)
	if well && b.ended.Load() < mostEnded {
		b.ended.Add(1)
	}
}

// Retry takes a place for a retry, until RetryDone. It reports false where percent of the requests under way, or least if that
// is more, are retries already, and of those that have ended too few are left. It counts itself before it looks, so that two cannot take
// one place.
func (b *Budget) Retry(percent, least int) bool {
	n := b.retrying.Add(1)
	saved := b.spend(percent)
	if n <= int64(least) || n*100 <= b.live.Load()*int64(percent) || saved {
		return true
	}
	b.retrying.Add(-1)
	return false
}

// spend takes as many of the ended requests as one retry is worth, if there are so many.
func (b *Budget) spend(percent int) bool {
	worth := int64((100 + percent - 1) / max(percent, 1))
	for {
		n := b.ended.Load()
		if n < worth {
			return false
		}
		if b.ended.CompareAndSwap(n, n-worth) {
			return true
		}
	}
}

// RetryDone ends a Retry that returned true.
func (b *Budget) RetryDone() { b.retrying.Add(-1) }

// Retrying returns how many retries are under way.
func (b *Budget) Retrying() int { return int(b.retrying.Load()) }
