// SPDX-License-Identifier: Apache-2.0

package health

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// record is the state of one target.
type record struct {
	id string // set once, never changed

	// alert says that a success would change something. Read without the lock, so that successes cost one load.
	alert  atomic.Bool
	window window
	// evidence is what requests say while a check runs.
	evidence evidence
	seed     uint64 // what the jitter of bans is made of; 0: none

	mu        sync.Mutex // guards the fields below
	settings  Settings
	group     *group
	verdict   Verdict
	passed    int // checks in a row that passed
	failed    int // checks in a row that failed
	errors    int // gateway errors in a row
	fails     int // within FailTimeout of firstFail
	firstFail time.Time
	slow      int           // comparisons in a row in which it was slow
	bans      uint64        // how many there were
	refused   bool          // a connection failed since the last check: the next check alone decides
	stalled   bool          // nothing came back since the last check: the next check alone decides
	lastBan   time.Duration // 0: never banned
	told      bool          // Down by the word of others
	cameUp    time.Time     // when checks last brought it back; zero: never
	hold      time.Duration // of the last time that it went down; see downLocked
	heldUntil time.Time
	gone      bool // forgotten: nothing is taken in any more
	telling   bool // somebody is telling changes
	history   history
	untold    []Verdict // changes not yet told, in their order
}

// configure takes over settings and moves the target to its group.
func (r *record) configure(s Settings, g *group) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.group != g {
		r.group.join(r.verdict.State, -1)
		g.join(r.verdict.State, 1)
	}
	r.settings, r.group = s, g
}

// forget takes the target out of its group, for good.
func (r *record) forget() {
	r.configure(Settings{}, nil)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.gone = true
}

func (r *record) read() Verdict {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.verdict
}

// checkedLocked takes in the result of a check.
func (r *record) checkedLocked(ok bool, reason string, latency time.Duration, now time.Time) {
	if r.gone {
		return
	}
	v := &r.verdict
	v.Checks++
	v.LastCheck, v.Latency = now, latency
	refused, stalled := r.refused, r.stalled
	r.refused, r.stalled = false, false
	if ok {
		r.passed, r.failed = r.passed+1, 0
		r.passLocked(now)
	} else {
		v.Failures++
		r.passed, r.failed = 0, r.failed+1
		r.failLocked(reason, refused, stalled, now)
	}
}

func (r *record) passLocked(now time.Time) {
	switch v := &r.verdict; v.State {
	case Unknown, Suspect:
		r.becomeLocked(Up, "check passed", now)
	case Refused:
		r.becomeLocked(Up, "a connection failed, but the check after it passed", now)
	case Down:
		if r.passed >= r.settings.Rise && !r.heldLocked(now) {
			r.cameUp = now
			r.becomeLocked(Up, fmt.Sprintf("%d checks in a row passed", r.passed), now)
		}
	case Ejected:
		if !now.Before(v.BanUntil) {
			r.passed = 1 // those that passed during the ban don't count
			r.becomeLocked(HalfOpen, "the ban is over and a check passed; the next request decides", now)
		}
	case HalfOpen:
		if r.passed > r.settings.Rise { // one made it half-open; a target without requests must come back, too
			r.becomeLocked(Up, fmt.Sprintf("%d checks in a row passed", r.passed), now)
		}
	}
}

func (r *record) failLocked(reason string, refused, stalled bool, now time.Time) {
	switch v := &r.verdict; v.State {
	case Unknown, HalfOpen:
		r.downLocked(reason, now)
	case Up, Suspect, Refused:
		switch {
		case stalled:
			r.downLocked("nothing came back, and then a check failed: "+reason, now)
		case refused, v.State == Refused:
			r.downLocked("a connection and then a check failed: "+reason, now)
		case r.failed >= r.settings.Fall:
			r.downLocked(fmt.Sprintf("%d checks in a row failed: %s", r.failed, reason), now)
		default:
			r.becomeLocked(Suspect, "check failed: "+reason, now)
		}
	case Ejected:
		if !now.Before(v.BanUntil) {
			r.downLocked("check failed after the ban: "+reason, now)
		}
	case Down:
		v.Reason = reason
	}
}

// observedLocked takes in the outcome of a request.
func (r *record) observedLocked(o Outcome, reason string, now time.Time) (probeNow bool) {
	state := r.verdict.State
	if state == Down || state == Ejected || state == Refused || r.gone {
		return false // of requests that were let in before
	}
	switch {
	case o == Success:
		r.errors = 0
		if state == HalfOpen {
			r.becomeLocked(Up, "the first request after the ban succeeded", now)
		}
		r.alert.Store(false)
		return false
	case o == Stalled:
		return r.stalledLocked()
	case state == HalfOpen:
		return !r.ejectLocked("an error after the ban: "+reason, now) && o == ConnectFailed
	case r.settings.MaxFails > 0 && r.failedLocked(reason, now):
		return false
	case o == ConnectFailed:
		return r.refusedLocked(reason, now)
	}
	r.errors++
	r.alert.Store(true)
	if why := r.tooManyLocked(now); why != "" && r.ejectLocked(why+": "+reason, now) {
		return false
	}
	// The first of a row may be the last word of a dead process. No more often than the schedule checks at its fastest.
	return r.errors == 1 && now.Sub(r.verdict.LastCheck) >= r.settings.FastInterval
}

// failedLocked counts a failure as nginx does, and reports whether it has ejected the target.
func (r *record) failedLocked(reason string, now time.Time) bool {
	if r.fails == 0 || now.Sub(r.firstFail) > r.settings.FailTimeout {
		r.fails, r.firstFail = 0, now
	}
	r.fails++
	if r.fails < r.settings.MaxFails {
		return false
	}
	return r.ejectLocked(fmt.Sprintf("%d failures within %s: %s", r.fails, r.settings.FailTimeout, reason), now)
}

// tooManyLocked says which bound of errors the target has reached, if it has.
func (r *record) tooManyLocked(now time.Time) string {
	if r.settings.MaxFails > 0 {
		return ""
	}
	if r.errors >= r.settings.ConsecutiveErrors {
		if r.errors == 1 {
			return "an error"
		}
		return fmt.Sprintf("%d errors in a row", r.errors)
	}
	if n, bad := r.window.sum(now); n >= minRateRequests && 2*bad >= n {
		return fmt.Sprintf("%d of %d requests failed in %ds", bad, n, windowSeconds)
	}
	return ""
}

// refusedLocked takes the target out until a check has decided, if another can be picked. It counts as no error: whether a connection
// can be made is what the check finds out.
func (r *record) refusedLocked(reason string, now time.Time) (probeNow bool) {
	if r.refused {
		return false
	}
	r.refused = true
	state := r.verdict.State
	if state.CanPick() && r.group.take(state, Refused) == "" {
		r.enterLocked(Refused, "connection failed: "+reason, now)
	} else if state == Up {
		r.becomeLocked(Suspect, "connection failed: "+reason, now)
	}
	return true
}

// stalledLocked has a check decide at once whether the target hangs. By itself it changes nothing: it may be one long answer.
func (r *record) stalledLocked() (probeNow bool) {
	r.stalled = r.verdict.State == Up || r.verdict.State == Suspect
	return r.stalled
}

// ejectLocked bans the target, unless that would leave too few of its group.
func (r *record) ejectLocked(why string, now time.Time) bool {
	v := &r.verdict
	if no := r.group.take(v.State, Ejected); no != "" {
		v.Reason = fmt.Sprintf("%s; not ejected from %s: %s", why, r.settings.Group, no)
		return false
	}
	ban := r.banLocked(now)
	v.BanUntil = now.Add(ban)
	r.enterLocked(Ejected, fmt.Sprintf("%s; banned for %s", why, ban), now)
	return true
}

// banLocked returns how long the ban is that begins now.
func (r *record) banLocked(now time.Time) time.Duration {
	if r.settings.MaxFails > 0 {
		return r.settings.FailTimeout
	}
	ban := r.settings.Ban
	// In a row: it comes back and fails again within the time that it was banned for.
	if r.lastBan > 0 && now.Sub(r.verdict.BanUntil) <= r.lastBan {
		ban = max(ban, min(2*r.lastBan, MaxBan))
	}
	r.lastBan = ban
	r.bans++
	return jittered(ban, r.seed+r.bans)
}

// becomeLocked changes the state and keeps the group's count.
func (r *record) becomeLocked(s State, reason string, now time.Time) {
	r.group.count(r.verdict.State, s)
	r.enterLocked(s, reason, now)
}

// enterLocked changes the state and notes the change to be told. The group's count is the caller's.
func (r *record) enterLocked(s State, reason string, now time.Time) {
	v := &r.verdict
	was := v.State
	v.Reason = reason
	if was == s {
		return
	}
	v.State, v.Since, r.told = s, now, false
	if (!was.CanPick() || !s.CanPick()) && was != Refused && s != Refused {
		// But not between up and suspect, or around a refusal: a check that passes doesn't make requests succeed.
		r.errors, r.slow, r.fails = 0, 0, 0
		r.window.clear()
	}
	r.alert.Store(r.errors > 0 || s == HalfOpen)
	r.history.add(Change{now, s, reason})
	r.untold = append(r.untold, *v)
}

// nextLocked returns after how long to check again.
func (r *record) nextLocked(now time.Time) time.Duration {
	switch s := r.verdict.State; {
	case s == Suspect, s == Refused, s == HalfOpen, s == Down && r.passed > 0:
		return r.settings.FastInterval
	case s == Ejected:
		if left := r.verdict.BanUntil.Sub(now); left > 0 {
			return min(left, r.settings.Interval)
		}
		return r.settings.FastInterval
	}
	if r.settings.Rarely > 0 && (r.verdict.State == Up || r.told) {
		return r.settings.Rarely
	}
	return r.settings.Interval
}

// tell calls changed for what is untold. One caller at a time does so for all, so that changes arrive in their order.
func (r *record) tell(changed func(string, Verdict)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.telling {
		return
	}
	r.telling = true
	for len(r.untold) > 0 {
		next := r.untold
		r.untold = nil
		if changed == nil {
			continue
		}
		r.mu.Unlock()
		for _, v := range next {
			changed(r.id, v)
		}
		r.mu.Lock()
	}
	r.telling = false
}
