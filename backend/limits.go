// SPDX-License-Identifier: Apache-2.0

package backend

import (
	"sync"
	"time"
)

// rate bounds requests a second by GCRA: due is when the next request would be on time at an even pace. The zero value
// does not bound.
type rate struct {
	every time.Duration // between two requests at an even pace; zero: no bound
	burst time.Duration // how far ahead of the pace requests may run

	mu  sync.Mutex // guards due; held for a few instructions, and a worker's requests cost far more than that
	due time.Time
}

// newRate returns a bound of perSecond requests with a burst of a tenth of a second's worth, at least one.
func newRate(perSecond float64) *rate {
	if perSecond == 0 {
		return &rate{}
	}
	every := time.Duration(float64(time.Second) / perSecond)
	return &rate{every: every, burst: time.Duration(max(1, perSecond/10)) * every}
}

// take counts a request, unless it is refused. slack is how much further ahead than the burst this one may be. retry says
// when the next one would be taken.
func (r *rate) take(now time.Time, slack time.Duration) (ok bool, retry time.Duration) {
	if r.every == 0 {
		return true, 0
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	due := r.due
	if due.Before(now) {
		due = now
	}
	if ahead := due.Add(r.every).Sub(now); ahead > r.burst+slack {
		return false, ahead - r.burst
	}
	r.due = due.Add(r.every)
	return true, 0
}
