// SPDX-License-Identifier: Apache-2.0

package http1

import (
	"errors"
	"sync"
	"time"

	"meridian/proxy/exchange"
)

// watchDelay is how long an answer may be waited for before the client is watched: most come sooner, and then need no
// goroutine. Ours.
const watchDelay = 40 * time.Millisecond

type watchState uint8

const (
	watchOff     watchState = iota
	watchArmed              // the timer runs
	watchRunning            // a goroutine reads from the client
	watchEnding             // the same, and it has been asked to stop
)

// watcher notices that a client leaves while an answer is on its way to it: it reads from the connection, into the
// connection's buffer, so that a request sent meanwhile is not lost. Between arm and disarm nobody else may read.
type watcher struct {
	mu    sync.Mutex // guards the fields below
	ended sync.Cond  // state left watchRunning and watchEnding
	state watchState
	timer *time.Timer // runs the watching goroutine
	to    exchange.Canceler
}

func (w *watcher) arm(c *conn, to exchange.Canceler) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.state != watchOff {
		return
	}
	w.state, w.to = watchArmed, to
	if w.timer == nil {
		w.ended.L = &w.mu
		w.timer = time.AfterFunc(watchDelay, c.watchClient)
		return
	}
	w.timer.Reset(watchDelay)
}

// disarm returns when the goroutine, if one was started, does not read any more.
func (w *watcher) disarm(c *conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch w.state {
	case watchOff:
		return
	case watchArmed:
		w.timer.Stop() // a call that comes through nevertheless sees watchOff
	case watchRunning:
		w.state = watchEnding
		c.readBy(past)
		for w.state != watchOff {
			w.ended.Wait()
		}
	}
	w.state, w.to = watchOff, nil
}

// watchClient is the watching goroutine.
func (c *conn) watchClient() {
	w := &c.watch
	w.mu.Lock()
	if w.state != watchArmed {
		w.mu.Unlock()
		return
	}
	w.state = watchRunning
	c.readBy(time.Time{}) // under the lock: disarm sets another one
	w.mu.Unlock()

	var err error
	for err == nil {
		err = c.r.Fill() // ends with errReaderFull where a client sends ahead without end
	}

	w.mu.Lock()
	gone := w.state == watchRunning && !errors.Is(err, errReaderFull)
	if gone {
		w.to.ClientGone() // under the lock: it must not be called after disarm
	}
	w.state = watchOff
	w.ended.Broadcast()
	w.mu.Unlock()
}
