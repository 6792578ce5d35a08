// SPDX-License-Identifier: Apache-2.0

package exchange

import "time"

// PaceWindow is by default the waiting in which a body must bring what its rate demands: security advice against slow bodies.
const PaceWindow = 20 * time.Second

// Pace holds the sender of a body to a least rate. Only the time that the reader waits for the sender counts: a body that is slow
// because the node is slow is no attack. It reads no clock and belongs to one goroutine at a time; its zero value demands nothing.
type Pace struct {
	rate   int           // bytes per second
	window time.Duration // of waiting in which they must have come
	since  time.Time     // when the present wait began; zero: there is none
	waited time.Duration // within this window
	got    int64         // bytes within this window
	byRate bool          // the deadline of the present wait is the rate's
}

// Reset begins a body that must come with that many bytes per second over each window of waiting. A rate that is not positive
// demands nothing; a window that is not positive is PaceWindow.
func (p *Pace) Reset(rate int, window time.Duration) {
	if window <= 0 {
		window = PaceWindow
	}
	*p = Pace{rate: rate, window: window}
}

// Wait says by when the next bytes must come, before a read that waits: idle bounds the silence, whatever the rate.
func (p *Pace) Wait(now time.Time, idle time.Duration) time.Time {
	p.settle(now)
	p.since, p.byRate = now, false
	if left := p.window - p.waited; p.rate > 0 && left < idle {
		p.byRate = true
		return now.Add(left)
	}
	return now.Add(idle)
}

// Waiting reports whether a wait has begun that Got has not ended.
func (p *Pace) Waiting() bool { return !p.since.IsZero() }

// Got ends the wait, if there was one, with the n bytes that came.
func (p *Pace) Got(n int, now time.Time) {
	if !p.Waiting() {
		return // they had arrived before
	}
	p.settle(now)
	p.since = time.Time{}
	if p.got += int64(n); float64(p.got) >= float64(p.rate)*p.window.Seconds() {
		p.waited, p.got = 0, 0
	}
}

// TooSlow reports whether a deadline that has passed was the rate's.
func (p *Pace) TooSlow() bool { return p.byRate }

func (p *Pace) settle(now time.Time) {
	if p.Waiting() {
		p.waited += now.Sub(p.since)
	}
}
