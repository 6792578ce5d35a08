// SPDX-License-Identifier: Apache-2.0

package balancer

import "time"

// OutcomeKind is how a node has answered.
type OutcomeKind uint8

// The kinds.
const (
	OK         OutcomeKind = iota // the head of an answer that is none of the node's failures
	Failed                        // no answer, or one that says that the node can't: 429, 502, 503, 504
	ClientGone                    // the client left before the answer; the time until then counts only if it is long
)

// Outcome is the end of a lease's wait.
type Outcome struct {
	Kind OutcomeKind
	// RetryAfter is for how long the node has asked to be left alone, with a failure. At most 300 s are honoured.
	RetryAfter time.Duration
}

// Answered takes note of the head of the answer, or that there will be none: one sample of the node's speed, and one of its
// route's if it is an answer. A second call does nothing.
func (l *Lease) Answered(now time.Time, o Outcome) {
	if l.entry == nil || l.answered {
		return
	}
	l.answered = true
	st := l.entry.state
	timed := l.slot != untimed
	l.untime()
	at := now.UnixNano()
	l.seen = at
	if o.Kind == OK {
		st.probe.succeeded(l.ticket)
	} else {
		st.probe.undecided(l.ticket)
	}
	if o.Kind != ClientGone {
		st.fresh.Store(false)
	}
	elapsed := min(max(float64(at-l.began), shortest), longest)
	median := l.route.median()
	if median == 0 {
		median = elapsed
	}
	ratio := elapsed / median * float64(l.queue)
	switch {
	case o.Kind == Failed:
		st.speed.learn(at, ratio, true, penaltyOf(median))
		if o.RetryAfter > 0 {
			st.speed.hold.Store(at + int64(min(o.RetryAfter, longestHold)))
		}
	case !timed:
		return
	case o.Kind == OK:
		l.route.learn(elapsed)
		if a := st.adapt.Load(); a != nil {
			a.learn(elapsed)
		}
		st.speed.learn(at, ratio, false, penaltyOf(median))
	case ratio > st.score.load(): // a client that waited longer than the node commonly takes has seen something
		st.speed.learn(at, ratio, false, penaltyOf(median))
	}
	l.entry.hasten(at)
}

// hasten publishes at once what makes a node look much worse: picks go by what the last tick has published, and a node that fails
// fast would get a tenth of a second's requests until the next.
func (e *entry) hasten(now int64) {
	st := e.state
	typical := e.group.tier.typicalScore()
	if v := scoreOf(e.group.tier.tempered(st.speed.value(now, typical), typical), typical); v > 1.5*st.score.load() {
		st.rate(v)
	}
}

// Untimed says that the time to the answer's first byte is not the node's alone, as while a client uploads at its own pace. The
// lease's wait is neither a sample nor held for the node's hanging, but a failure still is one.
func (l *Lease) Untimed() {
	if l.entry != nil {
		l.untime()
	}
}

func (l *Lease) untime() {
	l.entry.state.ages.end(l.slot)
	l.slot = untimed
}
