// SPDX-License-Identifier: Apache-2.0

package h2

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http2"

	"meridian/proxy/exchange"
	"meridian/proxy/http1"
	"meridian/proxy/upstream"
)

var _ upstream.Call = (*Call)(nil)

// Call is a request on a connection to a node, and its answer. One goroutine reads, another may write; Close may be called
// by any.
type Call struct {
	c        *conn
	reused   bool
	ready    chan struct{} // something of the answer has come, or its time has begun
	sendable chan struct{} // more may be sent
	idle     time.Duration // bounds the silence within the answer's body; the reader's

	// Guarded by c.mu.
	id       uint32
	left     bool  // the place was given back
	window   int64 // what may be sent
	sent     bool  // the request is all out
	noMore   bool  // the node wants no more of it
	refused  bool  // by REFUSED_STREAM: this node wants no other either
	reset    bool  // RST_STREAM is out
	err      error // why nothing more comes
	firstBy  time.Duration
	sending  bool
	headBy   time.Time // when the head must have come; zero while the request is being sent
	heads    []http1.Response
	nHeads   int
	headed   bool // the final head has come
	bodyless bool // no body belongs to the answer, whatever its length says
	method   string
	declared int64 // by Content-Length, or -1
	room     int64 // what the node may still send
	taken    int64 // bytes read since it was last given room
	got      int64
	body     []byte // what has come and was not read
	ended    bool   // the answer is whole
	trailer  exchange.Header
}

// Reused reports whether the connection was there before, so that the request might do better on a new one.
func (s *Call) Reused() bool {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	return s.reused && !s.refused
}

// Begin prepares for an answer, whose head must come within firstByte of the request's end. If the request is still being
// sent, RequestSent says when that is.
func (s *Call) Begin(firstByte time.Duration, sending bool) {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	s.firstBy, s.sending = firstByte, sending
	if !sending {
		s.headBy = time.Now().Add(firstByte)
	}
}

// RequestSent starts the time for the answer's head.
func (s *Call) RequestSent() {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	s.sending = false
	s.headBy = time.Now().Add(s.firstBy)
	notify(s.ready)
}

// Send sends the head and what is at hand of the body. n is 0 where nothing of it can have reached the node.
func (s *Call) Send(q *upstream.Request, _ *[]byte, timeout time.Duration) (n int, err error) {
	c := s.c
	end := q.Whole && len(q.Body) == 0 && len(q.Trailer) == 0
	if n, err = s.sendHead(q, end); err != nil {
		if n > 0 {
			c.fail(err)
		}
		return n, err
	}
	if end {
		return 1, nil
	}
	if err := s.SendBody(q.Body, timeout); err != nil {
		return 1, err
	}
	if q.Whole {
		return 1, s.EndBody(q.Trailer, timeout)
	}
	return 1, nil
}

// sendHead opens the stream and sends the head. n is 0 where nothing was sent. A panic on the way leaves no lock behind:
// all other calls of the connection would wait for it for ever.
func (s *Call) sendHead(q *upstream.Request, end bool) (n int, err error) {
	c := s.c
	c.wmu.Lock()
	defer c.wmu.Unlock()
	if err := s.open(q.Method, end); err != nil {
		return 0, err
	}
	c.hbuf.Reset()
	s.encode(q)
	c.writeHeaders(s.id, end)
	return 1, c.flush()
}

// open gives the call its stream: ids go out in order, so wmu is held from here until HEADERS are out.
func (s *Call) open(method string, end bool) error {
	c := s.c
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case s.err != nil:
		return s.err
	case c.err != nil:
		return c.err
	case c.refuses:
		return ErrUnprocessed
	}
	s.id, s.window, s.method, s.sent, s.declared = c.nextID, c.initial, method, end, -1
	if c.nextID += 2; c.nextID > maxStreamID {
		c.refuses = true
	}
	c.calls[s.id] = s
	if c.newTable {
		c.newTable = false
		c.henc.SetMaxDynamicTableSize(c.tableSize)
	}
	if len(c.calls) == 1 {
		c.heard = time.Now() // it had no reason to say anything before
	}
	return nil
}

// encode writes the header block of a request: RFC 9113, section 8.3.1.
func (s *Call) encode(q *upstream.Request) {
	put := s.c.put
	put(":method", q.Method)
	put(":scheme", "http")
	put(":authority", q.Host)
	put(":path", q.Target)
	for _, f := range q.Header {
		put(strings.ToLower(f.Name), f.Value)
	}
	if q.Length >= 0 {
		put("content-length", strconv.FormatInt(q.Length, 10))
	}
}

// SendBody sends more of the body as the node lets it. It waits no longer than the time for each part.
func (s *Call) SendBody(b []byte, timeout time.Duration) error {
	for len(b) > 0 {
		n, err := s.takeWindow(len(b), timeout)
		if err != nil {
			return err
		}
		if err := s.frame(func(c *conn) { c.fr.WriteData(s.id, false, b[:n]) }); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// EndBody ends the request with its trailer fields.
func (s *Call) EndBody(trailer exchange.Header, _ time.Duration) error {
	err := s.frame(func(c *conn) {
		if len(trailer) == 0 {
			c.fr.WriteData(s.id, true, nil)
			return
		}
		c.hbuf.Reset()
		for _, f := range trailer {
			c.put(strings.ToLower(f.Name), f.Value)
		}
		c.writeHeaders(s.id, true)
	})
	if err == nil {
		s.c.mu.Lock()
		s.sent = true
		s.c.mu.Unlock()
	}
	return err
}

// frame sends what write puts into out, unless the stream has ended: it may have been reset in the meantime.
func (s *Call) frame(write func(*conn)) error {
	c := s.c
	c.wmu.Lock()
	defer c.wmu.Unlock()
	c.mu.Lock()
	err := s.err
	if err == nil && (s.noMore || s.reset) {
		err = errClosed
	}
	c.mu.Unlock()
	if err != nil {
		return err
	}
	write(c)
	if err := c.flush(); err != nil {
		c.fail(err)
		return err
	}
	return nil
}

// takeWindow waits until something may be sent and returns how much of most.
func (s *Call) takeWindow(most int, timeout time.Duration) (int, error) {
	c := s.c
	var late <-chan time.Time
	for {
		c.mu.Lock()
		k := min(int64(most), s.window, c.window, int64(c.maxFrame))
		err := s.err
		if err == nil && (s.noMore || s.reset) {
			err = errClosed
		}
		if err == nil && k > 0 {
			s.window -= k
			c.window -= k
		}
		c.mu.Unlock()
		if err != nil || k > 0 {
			return int(k), err
		}
		if late == nil {
			t := time.NewTimer(timeout)
			defer t.Stop()
			late = t.C
		}
		select {
		case <-s.sendable:
		case <-late:
			return 0, os.ErrDeadlineExceeded
		}
	}
}

// Release gives the place back after an exchange, and the connection may then be unused for that time; zero:
// Config.IdleTimeout. A stream that is not at its end on both sides is reset.
func (s *Call) Release(idle time.Duration) {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	if !s.ended || !s.sent {
		s.resetLocked(http2.ErrCodeCancel)
	}
	s.err = errors.Join(s.err, errClosed)
	s.leaveLocked(idle)
}

// Close gives the exchange up at once: whoever reads or writes gets an error. The connection goes on.
func (s *Call) Close() {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	if !s.ended || !s.sent {
		s.resetLocked(http2.ErrCodeCancel)
	}
	s.failLocked(errClosed)
	s.leaveLocked(0)
}

func (s *Call) leaveLocked(idle time.Duration) {
	if s.left {
		return
	}
	s.left = true
	if !s.ended && s.id != 0 {
		s.c.abandoned++
	}
	delete(s.c.calls, s.id)
	if idle <= 0 {
		idle = s.c.pool.cfg.IdleTimeout
	}
	s.c.leave(idle)
}

// resetLocked sends RST_STREAM, once.
func (s *Call) resetLocked(code http2.ErrCode) {
	if s.reset || s.id == 0 || s.left || s.c.err != nil {
		return
	}
	s.reset = true
	s.c.ctlFr.WriteRSTStream(s.id, code)
	s.c.wakeControl()
}

// failLocked ends the exchange with an error. An answer that is whole can still be read.
func (s *Call) failLocked(err error) {
	if s.err == nil {
		s.err = err
	}
	notify(s.ready)
	notify(s.sendable)
}
