// SPDX-License-Identifier: Apache-2.0

package http2

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	xhttp2 "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"meridian/proxy/exchange"
)

// minProgress is what a client must take in WriteTimeout of a stream that waits for it: one that opens its window byte by
// byte is a slow reader on purpose. Ours.
const minProgress = 4 << 10

// pendingBytes is up to where an answer's first bytes are collected: the head and a small body go out together. Ours.
const pendingBytes = 8 << 10

var pendingPool = sync.Pool{New: func() any { return new([pendingBytes]byte) }}

// replyState is what is known of the answer that is being written.
type replyState struct {
	headed, sent, ended, aborted bool

	status   int
	fields   exchange.Header
	length   int64  // as the head said
	bodyless bool   // by its nature: what is written is dropped
	left     int64  // bytes still to be written, LengthUnknown where nobody knows
	pending  []byte // of the body
}

// reply is a stream as exchange.Reply.
type reply stream

var (
	errNoAnswer    = errors.New("no answer is under way")
	errInterrupted = errors.New("interrupted")
)

var _ exchange.Failer = (*reply)(nil)

// WriteHead implements exchange.Reply.
func (p *reply) WriteHead(h *exchange.Head) error {
	r := &p.reply
	if r.sent || r.ended || r.aborted {
		return fmt.Errorf("write head %d: an answer was already started", h.Status)
	}
	p.c.mu.Lock()
	p.awaits = false   // from here on 100 would be taken as a second answer
	p.pace.Reset(0, 0) // and what is left of the body may come as it likes: both may be a conversation
	p.readable.cond.Broadcast()
	p.interrupted = false
	p.c.mu.Unlock()
	r.headed = true
	r.status, r.length = h.Status, h.Length
	r.fields = append(r.fields[:0], h.Header...)
	r.bodyless = p.x.Method == "HEAD" || h.Status == http.StatusNoContent || h.Status == http.StatusNotModified
	r.left = h.Length
	switch {
	case r.bodyless || h.Length == exchange.LengthNone:
		r.left = 0
	case h.Length < 0:
		r.left = exchange.LengthUnknown
	}
	if h.Status == http.StatusNoContent || h.Status == http.StatusNotModified {
		r.length = exchange.LengthNone // RFC 9110, section 8.6; with 304 net/http's client would wait for that body
	}
	r.pending = r.pending[:0]
	return nil
}

// Write implements exchange.Reply.
func (p *reply) Write(b []byte) (int, error) {
	r := &p.reply
	switch {
	case !r.headed || r.ended || r.aborted:
		return 0, fmt.Errorf("write body: %w", errNoAnswer)
	case r.bodyless || len(b) == 0:
		return len(b), nil
	case r.left >= 0 && int64(len(b)) > r.left:
		return 0, fmt.Errorf("write body: %d bytes more than the answer's length", int64(len(b))-r.left)
	}
	if r.left > 0 {
		r.left -= int64(len(b))
	}
	if len(r.pending)+len(b) <= pendingBytes {
		if r.pending == nil {
			r.pending = pendingPool.Get().(*[pendingBytes]byte)[:0]
		}
		r.pending = append(r.pending, b...)
		return len(b), nil
	}
	if err := (*stream)(p).send(b, false, nil); err != nil {
		return 0, err
	}
	return len(b), nil
}

// Flush implements exchange.Reply.
func (p *reply) Flush() error {
	if r := &p.reply; !r.headed || r.ended || r.aborted || r.sent && len(r.pending) == 0 {
		return nil
	}
	return (*stream)(p).send(nil, false, nil)
}

// End implements exchange.Reply.
func (p *reply) End(trailer exchange.Header) error {
	r := &p.reply
	switch {
	case !r.headed || r.ended || r.aborted:
		return fmt.Errorf("end: %w", errNoAnswer)
	case r.left > 0:
		p.Abort()
		return fmt.Errorf("end: %d bytes of the answer are missing", r.left)
	}
	if r.bodyless {
		trailer = nil
	}
	r.ended = true
	return (*stream)(p).send(nil, true, trailer)
}

// Abort implements exchange.Reply. What was collected is dropped: the client sees a stream that was reset.
func (p *reply) Abort() {
	if p.reply.ended || p.reply.aborted {
		return
	}
	p.reply.aborted = true
	s := (*stream)(p)
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	if s.c.streams[s.id] == s {
		s.c.reset(s.id, xhttp2.ErrCodeInternal)
		s.end(errGone)
	}
}

// Interrupt implements exchange.Reply.
func (p *reply) Interrupt() {
	p.c.mu.Lock()
	defer p.c.mu.Unlock()
	p.interrupted = true
	p.writable.cond.Broadcast()
}

// Fail implements exchange.Failer. A head is not subject to flow control (RFC 9113, section 5.2), so it need not wait: it is
// the last that is queued of the stream.
func (p *reply) Fail(trailer exchange.Header) error {
	s, r := (*stream)(p), &p.reply
	if !r.sent || r.ended || r.aborted || r.bodyless || r.left != exchange.LengthUnknown {
		return fmt.Errorf("fail: %w", errNoAnswer)
	}
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	switch {
	case s.err != nil:
		return s.err
	case s.c.writeErr != nil:
		return s.c.writeErr
	}
	r.ended = true
	s.c.encode(s.id, 0, trailer, exchange.LengthNone, true)
	return s.answered()
}

// Started implements exchange.Reply.
func (p *reply) Started() bool { return p.reply.sent }

// SetIdle implements exchange.Reply.
func (p *reply) SetIdle(d time.Duration) {
	if d <= 0 {
		return
	}
	p.c.mu.Lock()
	defer p.c.mu.Unlock()
	p.idle = d
}

// Watch implements exchange.Reply. It costs nothing: the connection is always read.
func (p *reply) Watch(to exchange.Canceler) {
	p.watching.Lock()
	defer p.watching.Unlock()
	if p.gone {
		to.ClientGone()
		return
	}
	p.watcher = to
}

// Unwatch implements exchange.Reply.
func (p *reply) Unwatch() {
	p.watching.Lock()
	defer p.watching.Unlock()
	p.watcher = nil
}

// release gives the answer's buffer back.
func (s *stream) release() {
	if cap(s.reply.pending) == pendingBytes {
		pendingPool.Put((*[pendingBytes]byte)(s.reply.pending[:pendingBytes]))
	}
	s.reply.pending = nil
}

// send writes the head, if that has not been written, what is pending, b, and the end.
func (s *stream) send(b []byte, end bool, trailer exchange.Header) error {
	c, r := s.c, &s.reply
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := s.wait(false); err != nil {
		return err
	}
	if !r.sent {
		r.sent = true
		c.encode(s.id, r.status, r.fields, r.length, end && len(r.pending)+len(b)+len(trailer) == 0)
		if end && len(r.pending)+len(b)+len(trailer) == 0 {
			return s.answered()
		}
	}
	last := end && len(trailer) == 0
	if err := s.data(r.pending, last && len(b) == 0); err != nil {
		return err
	}
	r.pending = r.pending[:0]
	if len(b) > 0 {
		if err := s.data(b, last); err != nil {
			return err
		}
	}
	switch {
	case !end:
		return nil
	case !last:
		c.encode(s.id, 0, trailer, exchange.LengthNone, true)
	}
	return s.answered()
}

// data writes b within the windows. It needs c.mu.
func (s *stream) data(b []byte, end bool) error {
	c := s.c
	if len(b) == 0 {
		if end {
			c.data(s.id, nil, true)
		}
		return nil
	}
	for len(b) > 0 {
		if err := s.wait(true); err != nil {
			return err
		}
		n := int(min(int64(len(b)), s.sendWindow, c.sendWindow, frameBytes))
		s.sendWindow -= int64(n)
		c.sendWindow -= int64(n)
		c.data(s.id, b[:n], end && n == len(b))
		b = b[n:]
		s.stalledBytes += n
	}
	return nil
}

// wait waits until the answer can go on: there is room, and window where that is asked for. It needs c.mu.
func (s *stream) wait(window bool) error {
	c := s.c
	for {
		switch {
		case s.err != nil:
			return fmt.Errorf("write to the client: %w", s.err)
		case c.writeErr != nil:
			return c.writeErr
		case s.interrupted:
			return fmt.Errorf("write to the client: %w", errInterrupted)
		case len(c.out) < outBytes && (!window || s.sendWindow > 0 && c.sendWindow > 0):
			return nil
		}
		if s.stalledBytes >= minProgress {
			s.stalled, s.stalledBytes = 0, 0
		}
		began := time.Now()
		c.blocked[s] = struct{}{}
		ok := s.writable.wait(began.Add(c.s.config().WriteTimeout - s.stalled))
		delete(c.blocked, s)
		s.stalled += time.Since(began)
		if !ok {
			return fmt.Errorf("write to the client: it took less than %d bytes in %s: %w", minProgress, c.s.config().WriteTimeout, os.ErrDeadlineExceeded)
		}
	}
}

// answered ends the stream after a whole answer. A client that still sends is told that nobody reads: RFC 9113, section
// 8.1. It needs c.mu.
func (s *stream) answered() error {
	c := s.c
	if c.streams[s.id] != s {
		return s.err
	}
	c.wellEnded.Add(1)
	switch {
	case !s.remoteEnded:
		c.reset(s.id, xhttp2.ErrCodeNo)
		s.end(errGone)
	case s.taken < len(s.body):
		s.end(errGone) // who still reads must not take this for the body's end
	default:
		s.end(nil)
	}
	return nil
}

// encode queues a head, or with status 0 a trailer. Names are written in lower case. It needs c.mu.
func (c *conn) encode(id uint32, status int, h exchange.Header, length int64, end bool) {
	c.encoded.Reset()
	if status > 0 {
		c.encoder.WriteField(hpack.HeaderField{Name: ":status", Value: strconv.Itoa(status)})
	}
	for i := range h {
		name := lower(h[i].Name)
		if !sendable(name) {
			continue
		}
		f := hpack.HeaderField{Name: name, Value: h[i].Value, Sensitive: name == "set-cookie"}
		if !f.Sensitive { // those the encoder does not keep
			f = c.said.lasting(name, h[i].Value)
		}
		c.encoder.WriteField(f)
	}
	if length >= 0 {
		c.encoder.WriteField(hpack.HeaderField{Name: "content-length", Value: strconv.FormatInt(length, 10)})
	}
	c.answers++
	c.block(id, c.encoded.Bytes(), end)
}

// sendable reports whether a field may be in HTTP/2: RFC 9113, section 8.2.2.
func sendable(name string) bool {
	switch name {
	case "connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade":
		return false
	}
	return true
}

// lower returns a field's name in lower case, for nearly all without allocating.
func lower(name string) string {
	if l, ok := lowered[name]; ok {
		return l
	}
	return strings.ToLower(name)
}

// lowered are names as HTTP/1.1 programs spell them.
var lowered = func() map[string]string {
	m := map[string]string{}
	for _, n := range strings.Fields("Accept-Ranges Access-Control-Allow-Origin Access-Control-Allow-Credentials Access-Control-Allow-Headers " +
		"Access-Control-Allow-Methods Access-Control-Expose-Headers Age Allow Cache-Control Content-Disposition Content-Encoding Content-Language " +
		"Content-Location Content-Range Content-Security-Policy Content-Type Date Etag ETag Expires Grpc-Status Grpc-Message Last-Modified Link " +
		"Location Mcp-Session-Id Pragma Referrer-Policy Retry-After Server Set-Cookie Strict-Transport-Security Trailer Vary Via " +
		"Www-Authenticate WWW-Authenticate X-Content-Type-Options X-Frame-Options X-Powered-By X-Request-Id") {
		m[n] = strings.ToLower(n)
	}
	return m
}()
