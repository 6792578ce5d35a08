// SPDX-License-Identifier: Apache-2.0

package http2

import (
	"sync"
	"time"
)

// waiter is a condition that can be waited for within a time. It needs the mutex of its cond.
type waiter struct {
	cond  sync.Cond
	timer *time.Timer
	until time.Time // when the wait under way ends; zero: none is
	late  bool
}

// wait waits to be signalled, or until a time. It reports false if that has passed.
func (w *waiter) wait(until time.Time) bool {
	d := time.Until(until)
	if d <= 0 {
		return false
	}
	w.until, w.late = until, false
	if w.timer == nil {
		w.timer = time.AfterFunc(d, w.expire)
	} else {
		w.timer.Reset(d)
	}
	w.cond.Wait()
	w.until = time.Time{}
	w.timer.Stop()
	return !w.late
}

// expire is the timer's. One that was too late to be stopped finds no wait, or one that ends later.
func (w *waiter) expire() {
	w.cond.L.Lock()
	defer w.cond.L.Unlock()
	if !w.until.IsZero() && !time.Now().Before(w.until) {
		w.late = true
		w.cond.Broadcast()
	}
}
