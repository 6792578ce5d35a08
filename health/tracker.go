// SPDX-License-Identifier: Apache-2.0

package health

import (
	"sync"
	"sync/atomic"
	"time"
)

// Tracker holds the verdicts, by a target's id. Safe for concurrent use: there is one lock per target, and Observe of a
// success takes none while there is nothing that a success would change but a count.
type Tracker struct {
	changed func(id string, v Verdict) // set once, never changed; may be nil

	mu       sync.Mutex // makes Apply single; readers use records
	records  atomic.Pointer[map[string]*record]
	groups   map[string]*group // guarded by mu
	compared time.Time         // the last time that Compare judged; guarded by mu

	seed atomic.Uint64
}

// Seed sets the random bits of which the jitter of bans is made, for targets that come after it: bans are then up to a fifth longer
// or shorter, so that what was ejected together doesn't come back together. Zero, as at first: no jitter.
func (t *Tracker) Seed(bits uint64) { t.seed.Store(bits) }

// NewTracker returns a tracker without targets. changed (nil: nobody) is told of every change of a target's state, the
// first verdict included: synchronously, without locks held, each target's changes in their order and never two at once.
// Where two callers change one target at the same time, one of them tells both changes.
func NewTracker(changed func(id string, v Verdict)) *Tracker {
	t := &Tracker{changed: changed, groups: map[string]*group{}}
	t.records.Store(&map[string]*record{})
	return t
}

// Apply makes targets the targets: new ones are Unknown, those that stay keep their verdict under the new settings, the
// others are forgotten. changed is not told of either.
func (t *Tracker) Apply(targets map[string]Settings, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	old := *t.records.Load()
	next := make(map[string]*record, len(targets))
	groups := make(map[string]*group, len(t.groups))
	for id, s := range targets {
		g := t.groupLocked(groups, s.Group)
		r := old[id]
		if r == nil {
			r = &record{id: id, seed: seedOf(t.seed.Load(), id), verdict: Verdict{Since: now}}
		}
		r.configure(s.withDefaults(), g)
		next[id] = r
	}
	t.records.Store(&next)
	t.groups = groups
	for id, r := range old {
		if next[id] == nil {
			r.forget()
		}
	}
}

// groupLocked returns the group of the name out of next, where it enters it, so that groups without targets are forgotten.
func (t *Tracker) groupLocked(next map[string]*group, name string) *group {
	if name == "" {
		return nil
	}
	g := next[name]
	if g == nil {
		if g = t.groups[name]; g == nil {
			g = &group{}
		}
		next[name] = g
	}
	return g
}

func (t *Tracker) record(id string) *record { return (*t.records.Load())[id] }

// Probed takes in the result of a check and returns after how long to check again. reason says what failed ("connect
// refused"). For a target that is not known it changes nothing and returns the default interval. A check that failed for its
// time alone is for TimedOut.
func (t *Tracker) Probed(id string, ok bool, reason string, latency time.Duration, now time.Time) (next time.Duration) {
	return t.checked(id, now, func(r *record) {
		r.evidence.end()
		r.checkedLocked(ok, reason, latency, now)
	})
}

// checked has the result of a check taken in under the target's lock, and tells what it has changed.
func (t *Tracker) checked(id string, now time.Time, take func(*record)) (next time.Duration) {
	r := t.record(id)
	if r == nil {
		return Settings{}.withDefaults().Interval
	}
	r.mu.Lock()
	take(r)
	next = r.nextLocked(now)
	r.mu.Unlock()
	r.tell(t.changed)
	return next
}

// Observe takes in how a request to a target ended. probeNow asks for a check at once: the verdict waits for it.
func (t *Tracker) Observe(id string, o Outcome, reason string, now time.Time) (probeNow bool) {
	r := t.record(id)
	if r == nil || o == ClientGone {
		return false
	}
	if o != ConnectFailed && o != Stalled { // which are no request's end
		r.window.add(now, o != Success)
	}
	if o == Success && !r.alert.Load() {
		return false
	}
	if o != Success && o != Stalled {
		r.evidence.fail()
	}
	r.mu.Lock()
	probeNow = r.observedLocked(o, reason, now)
	r.mu.Unlock()
	r.tell(t.changed)
	return probeNow
}

// Verdict returns the verdict on a target. It is zero (Unknown) for one that is not known.
func (t *Tracker) Verdict(id string) Verdict {
	if r := t.record(id); r != nil {
		return r.read()
	}
	return Verdict{}
}

// All returns the verdicts on all targets.
func (t *Tracker) All() map[string]Verdict {
	records := *t.records.Load()
	out := make(map[string]Verdict, len(records))
	for id, r := range records {
		out[id] = r.read()
	}
	return out
}
