// SPDX-License-Identifier: Apache-2.0

package balancer

import "sync/atomic"

// Budget bounds how many of a pool's requests under way may be retries: nodes that fail under load get more load from every
// retry, and without a bound never recover. The zero value works. Safe for concurrent use, without a lock.
type Budget struct {
	live     atomic.Int64 // requests under way, retries included
	retrying atomic.Int64 // those of them that are on a further try
}

// Begin counts a request, until End.
func (b *Budget) Begin() { b.live.Add(1) }

// End ends Begin.
func (b *Budget) End() { b.live.Add(-1) }

// Retry takes a place for a retry, until RetryDone. It reports false where percent of the requests under way, or least if that
// is more, are retries already. It counts itself before it looks, so that two cannot take one place.
func (b *Budget) Retry(percent, least int) bool {
	n := b.retrying.Add(1)
	if n <= int64(least) || n*100 <= b.live.Load()*int64(percent) {
		return true
	}
	b.retrying.Add(-1)
	return false
}

// RetryDone ends a Retry that returned true.
func (b *Budget) RetryDone() { b.retrying.Add(-1) }

// Retrying returns how many retries are under way.
func (b *Budget) Retrying() int { return int(b.retrying.Load()) }
