// SPDX-License-Identifier: Apache-2.0

package http2

import (
	"errors"
	"io"
	"runtime/debug"
	"sync"
	"time"

	xhttp2 "golang.org/x/net/http2"

	"meridian/proxy/exchange"
	"meridian/proxy/strict"
)

// Windows that clients get: RFC 9113, section 5.2. Ours: what is buffered of all bodies of a connection is within the
// connection's, and a handler that does not read stops its client at the stream's.
const (
	streamWindow     = 256 << 10
	connectionWindow = 512 << 10
)

// errGone is what reads and writes of a stream return whose client has reset it or left.
var errGone = errors.New("the client has cancelled the request or left")

// stream is a request and its answer. Its goroutine runs the handler.
type stream struct {
	c  *conn
	id uint32
	x  exchange.Exchange

	// What follows is guarded by c.mu.
	err          error // the stream has ended before its time
	sendWindow   int64
	recvWindow   int64 // bytes that the client may still send
	consumed     int   // bytes that were read and not granted anew
	body         []byte
	taken        int   // of body
	got          int64 // bytes of the body that came
	remoteEnded  bool
	trailer      exchange.Header
	stopped      bool
	awaits       bool // the client waits for 100
	idle         time.Duration
	pace         exchange.Pace
	readable     waiter
	writable     waiter
	stalled      time.Duration // that writes have waited while stalledBytes were sent
	stalledBytes int
	interrupted  bool // writes fail until another answer begins

	reply replyState // of the writing goroutine

	watching sync.Mutex // guards the fields below; held while the client's leaving is told
	watcher  exchange.Canceler
	gone     bool
}

func newStream(c *conn, id uint32) *stream {
	p := c.s.config()
	s := &stream{c: c, id: id, sendWindow: c.peerWindow, recvWindow: streamWindow, idle: p.BodyTimeout}
	s.pace.Reset(p.MinBodyRate, p.BodyWindow)
	s.readable.cond.L = &c.mu
	s.writable.cond.L = &c.mu
	return s
}

// run is the stream's goroutine.
func (s *stream) run(h exchange.Handler) {
	exchange.GrowStack()
	s.handle(h)
	switch r := &s.reply; {
	case r.ended || r.aborted:
	case !r.headed:
		answer(500, "the edge could not answer the request")(&s.x)
	default:
		(*reply)(s).Abort()
	}
	s.release()
	s.c.handlerEnded(s)
}

// handle runs the handler. A panic costs the one request.
func (s *stream) handle(h exchange.Handler) {
	defer func() {
		if v := recover(); v != nil {
			s.c.s.config().Panicked(v, debug.Stack())
		}
	}()
	h(&s.x)
}

// answer is a handler that gives a small answer of the engine's own.
func answer(status int, reason string) exchange.Handler {
	return func(x *exchange.Exchange) {
		x.Reply.WriteHead(&exchange.Head{Status: status, Length: int64(len(reason) + 1), Header: exchange.Header{
			{Name: "content-type", Value: "text/plain; charset=utf-8"},
			{Name: "date", Value: time.Now().UTC().Format(httpDate)},
		}})
		io.WriteString(x.Reply, reason+"\n")
		x.Reply.End(nil)
	}
}

// ended has h wait for the end of a request whose length is 0: a node takes its head for the whole of it, and what comes behind it
// may make it malformed.
func ended(h exchange.Handler) exchange.Handler {
	return func(x *exchange.Exchange) {
		var b [1]byte
		if _, err := x.Body.Read(b[:]); err != io.EOF {
			h = answer(408, "the request did not end")
		}
		h(x)
	}
}

// httpDate is the form of RFC 9110, section 5.6.7.
const httpDate = "Mon, 02 Jan 2006 15:04:05 GMT"

// refusal is the handler for a request that is not taken.
func refusal(r *strict.Refusal) exchange.Handler { return answer(r.Status, r.Reason) }

// end ends the stream where both sides can see it: the client's part is over or not wanted any more. It needs c.mu.
func (s *stream) end(err error) {
	c := s.c
	if c.streams[s.id] != s {
		return
	}
	delete(c.streams, s.id)
	if s.err = err; err != nil {
		c.grant(len(s.body) - s.taken) // nobody will read it
		s.body, s.taken = nil, 0
	}
	s.readable.cond.Broadcast()
	s.writable.cond.Broadcast()
	c.quietened()
}

// cancel tells the watcher, if there is one, that the client is gone. It must be called without c.mu.
func (s *stream) cancel() {
	s.watching.Lock()
	defer s.watching.Unlock()
	s.gone = true
	if s.watcher != nil {
		s.watcher.ClientGone()
		s.watcher = nil
	}
}

// resetBy ends the stream for a mistake of the client. It must be called without c.mu.
func (s *stream) resetBy(code xhttp2.ErrCode) {
	s.c.mu.Lock()
	s.c.reset(s.id, code)
	s.end(errGone)
	s.c.mu.Unlock()
	s.cancel()
}

// receive takes the payload of a DATA frame; padding counts for the windows only. It needs c.mu.
func (s *stream) receive(p []byte, size int, end bool) (code xhttp2.ErrCode) {
	declared := s.x.Length
	s.got += int64(len(p))
	switch {
	case s.remoteEnded:
		return xhttp2.ErrCodeStreamClosed
	case int64(size) > s.recvWindow:
		return xhttp2.ErrCodeFlowControl
	case declared >= 0 && s.got > declared, end && declared >= 0 && s.got != declared:
		return xhttp2.ErrCodeProtocol // RFC 9113, section 8.1.1
	}
	s.recvWindow -= int64(size)
	if s.stopped {
		s.consume(size)
	} else {
		s.body = append(s.body, p...)
		s.consume(size - len(p))
	}
	s.remoteEnded = end
	s.readable.cond.Broadcast()
	return xhttp2.ErrCodeNo
}

// consume notes n bytes as read and grants them anew, many at a time. It needs c.mu.
func (s *stream) consume(n int) {
	s.c.grant(n)
	if s.consumed += n; s.consumed >= streamWindow/2 && !s.remoteEnded && s.err == nil {
		s.recvWindow += int64(s.consumed)
		s.c.number(xhttp2.FrameWindowUpdate, s.id, uint32(s.consumed))
		s.consumed = 0
	}
}
