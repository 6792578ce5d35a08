// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"sync"
	"time"
)

// clock ends a request that takes longer than its route or its client allows.
type clock struct {
	timer  *time.Timer
	until  time.Time      // when the request is too late; zero: never
	client bool           // the time is the client's
	rung   sync.WaitGroup // the timer's function
}

// startClock begins the time for the whole request, if there is one.
func (r *relay) startClock() {
	most := r.timeouts.Request.Std()
	if own, ok := r.clientTime(); ok && (most <= 0 || own < most) {
		most, r.clock.client = own, true
	} else if most <= 0 {
		return
	}
	r.clock.until = r.x.Received.Add(most)
	r.clock.rung.Add(1)
	r.clock.timer = time.AfterFunc(time.Until(r.clock.until), r.tooLate)
}

// stopClock returns when the timer's function does not run and will not.
func (r *relay) stopClock() {
	if r.clock.timer == nil {
		return
	}
	if r.clock.timer.Stop() {
		r.clock.rung.Done()
	}
	r.clock.rung.Wait()
}

// tooLate is the timer's function. Closing the connection to the node ends whatever waits for the node, and Interrupt what
// waits for the client to take the answer.
func (r *relay) tooLate() {
	defer r.clock.rung.Done()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.late {
		return // noticed already, and it may be being answered
	}
	r.late = true
	r.endLocked()
}

// endLocked ends what the request is about. It needs r.mu.
func (r *relay) endLocked() {
	if r.tunnel != nil {
		r.tunnel.GoAway(cutGoodbye)
		return
	}
	if r.switches { // runTunnel looks after it; here is who doesn't take the 101
		r.events.interruptAfter(cutGoodbye, r.x.Reply.Interrupt)
		return
	}
	r.closeLocked()
	r.x.Reply.Interrupt()
}

// lateLocked reports whether the request's time has passed, if only just: the node has a clock, too, and what it did about
// the same deadline may be here before our timer has rung. It needs r.mu.
func (r *relay) lateLocked() bool {
	if r.late || r.clock.until.IsZero() || time.Now().Before(r.clock.until) {
		return r.late
	}
	r.late = true
	r.closeLocked()
	return true
}

func (r *relay) lateness() string {
	if r.clock.client {
		return "the client's deadline has passed"
	}
	return "the request took longer than its route allows"
}

func (r *relay) isLate() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lateLocked()
}

// cutShort answers a request that was ended by the drain of its node or by its own time. An answer that was begun is broken off.
func (r *relay) cutShort() {
	if r.isLate() {
		r.record.err = r.lateness()
		if isGRPC(r.x.Header.Get("Content-Type")) {
			r.deadlinePassed()
			return
		}
		r.answer(504, 0, "pool %s: the request took longer than %s", r.pool.Name, r.timeouts.Request)
		return
	}
	r.record.err = "the node's drain reached its deadline"
	if r.endEvents() {
		return
	}
	r.answer(503, 1, "pool %s: the node was drained before it answered", r.pool.Name)
}
