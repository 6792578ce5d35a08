// SPDX-License-Identifier: Apache-2.0

package health

import (
	"fmt"
	"sync/atomic"
	"time"
)

// evidence counts what requests have seen of a target since its running check began, so that a check that is merely late is not
// taken for a target that is dead. Without a lock; it costs a request one load while no check runs.
type evidence struct {
	since    atomic.Int64 // when the check began, Unix nanoseconds; 0: none runs
	answered atomic.Uint64
	failed   atomic.Uint64
}

// begin starts counting anew.
func (e *evidence) begin(now time.Time) {
	e.since.Store(0) // what is told meanwhile belongs to neither check
	e.answered.Store(0)
	e.failed.Store(0)
	e.since.Store(now.UnixNano())
}

// end stops counting and returns how many requests refute that the target is silent, 0 for none.
//
// One is enough: a process that is stopped, cut off or dead answers no request that began after it was, whatever still stands in
// buffers, so that one that began after the check did was answered by a living one. But as many failures as answers are no proof of
// health, and then the check counts.
func (e *evidence) end() uint64 {
	e.since.Store(0)
	if n := e.answered.Load(); n > e.failed.Load() {
		return n
	}
	return 0
}

// answer counts a request that began at a time, if that is within the running check.
func (e *evidence) answer(began time.Time) {
	if since := e.since.Load(); since != 0 && began.UnixNano() >= since {
		e.answered.Add(1)
	}
}

func (e *evidence) fail() {
	if e.since.Load() != 0 {
		e.failed.Add(1)
	}
}

// Checking takes in that a check of a target begins. From then on until its result, what Answered and Observe tell is counted.
func (t *Tracker) Checking(id string, now time.Time) {
	if r := t.record(id); r != nil {
		r.evidence.begin(now)
	}
}

// Answered takes in that a target has begun to answer a request, which began to be sent at a time, other than with a failure of
// a gateway. It takes no lock.
func (t *Tracker) Answered(id string, began time.Time) {
	if r := t.record(id); r != nil {
		r.evidence.answer(began)
	}
}

// TimedOut takes in a check that had no answer in time, as Probed does one that failed. It counts for nothing where more requests
// that began after the check have been answered than have failed: then this machine or the check's path was slow, or the target is
// busy, but it is not gone. It shows as a suspicion until a check passes.
func (t *Tracker) TimedOut(id, reason string, latency time.Duration, now time.Time) (next time.Duration) {
	return t.checked(id, now, func(r *record) {
		if !r.refutedLocked(reason, latency, now) {
			r.checkedLocked(false, reason, latency, now)
		}
	})
}

// refutedLocked reports whether requests refute that the target has nothing to say, and enters that. It keeps what picks get only: one
// that is out, or that has just refused a connection, needs a check that passes.
func (r *record) refutedLocked(reason string, latency time.Duration, now time.Time) bool {
	v := &r.verdict
	n := r.evidence.end()
	if n == 0 || r.gone || r.refused || v.State != Up && v.State != Suspect {
		return false
	}
	v.Checks++
	v.Failures++
	v.Refuted++
	v.LastCheck, v.Latency = now, latency
	r.passed, r.stalled = 0, false // something comes back
	r.becomeLocked(Suspect, fmt.Sprintf("check failed: %s; refuted by %d requests answered meanwhile", reason, n), now)
	return true
}
