// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"bytes"
	"sync"
	"time"
)

// lastEvent ends a stream of events that is cut by a drain: "retry" has the client wait a second before it connects anew, and not in
// step with nothing; an event of a name that it doesn't know is passed over by clients (HTML, section 9.2.6), those of MCP too.
const lastEvent = "event: drain\nretry: 1000\ndata: {\"reason\":\"drained\"}\n\n"

// events follows an answer that is a stream of server-sent events, so that it can be ended between two of them.
type events struct {
	streams bool    // it is one, in clear text and of unknown length; guarded by relay.mu for who cuts
	begun   bool    // a byte of it has passed
	tail    [3]byte // the last bytes that have passed

	timer *time.Timer    // interrupts the answer of a client that does not take its end, or a 101; guarded by relay.mu
	rung  sync.WaitGroup // the timer's function
}

// passed takes in bytes that went to the client.
func (e *events) passed(b []byte) {
	if !e.streams || len(b) == 0 {
		return
	}
	e.begun = true
	n := min(len(b), len(e.tail))
	copy(e.tail[:], e.tail[n:])
	copy(e.tail[len(e.tail)-n:], b[len(b)-n:])
}

// between reports whether the stream is between two events: an empty line was the last. Lines end with CR, LF or both.
func (e *events) between() bool {
	if !e.begun {
		return true
	}
	t := e.tail[:]
	switch {
	case bytes.HasSuffix(t, []byte("\r\n")):
		t = t[:len(t)-2]
	case t[len(t)-1] == '\r', t[len(t)-1] == '\n':
		t = t[:len(t)-1]
	default:
		return false
	}
	return t[len(t)-1] == '\r' || t[len(t)-1] == '\n'
}

// interruptAfter has f called unless stop comes before. The first call counts. The caller holds relay.mu.
func (e *events) interruptAfter(d time.Duration, f func()) {
	if e.timer != nil {
		return
	}
	e.rung.Add(1)
	e.timer = time.AfterFunc(d, func() {
		defer e.rung.Done()
		f()
	})
}

// stop returns when the timer's function does not run and will not. Nobody cuts the relay any more.
func (e *events) stop() {
	if e.timer == nil {
		return
	}
	if e.timer.Stop() {
		e.rung.Done()
	}
	e.rung.Wait()
}

// endEvents ends a stream of events that its node's drain has cut as clients understand it, if it is between two events. It reports
// whether it did.
func (r *relay) endEvents() bool {
	w := r.x.Reply
	if !r.events.streams || !w.Started() || !r.events.between() {
		return false
	}
	n, err := w.Write([]byte(lastEvent))
	r.record.bytesOut += int64(n)
	if err == nil {
		err = w.End(nil)
	}
	if err != nil {
		r.abort()
	}
	return true
}
