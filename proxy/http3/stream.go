// SPDX-License-Identifier: Apache-2.0

package http3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"meridian/proxy/exchange"
	"meridian/proxy/strict"
)

// pieceBytes is how much is written in one WriteTimeout. Ours.
const pieceBytes = 32 << 10

// pendingBytes is up to where an answer's first bytes are collected: WriteHead may be called again until then. Ours.
const pendingBytes = 8 << 10

// stream is a request and its answer.
type stream struct {
	s       *Server
	x       exchange.Exchange
	w       http.ResponseWriter
	control *http.ResponseController
	in      io.ReadCloser
	trailer func() http.Header
	ctx     context.Context

	ahead   []byte // of the body, read to see whether there is one
	got     int64  // bytes of the body that came
	over    bool   // the body's end has been read
	stopped atomic.Bool
	idle    atomic.Int64 // nanoseconds
	awaits  bool

	pacing sync.Mutex // guards the field below, with the read deadline
	pace   exchange.Pace

	head                         exchange.Head
	headed, sent, ended, aborted bool
	bodyless                     bool
	left                         int64
	cut                          bool // a write has failed, so that the end of a frame may be missing
	interrupted                  atomic.Bool
	pending                      []byte

	watching sync.Mutex // guards the fields below; held while the client's leaving is told
	watcher  exchange.Canceler
	unwatch  func() bool
}

func newStream(s *Server, w http.ResponseWriter, r *http.Request) *stream {
	st := &stream{s: s, w: w, control: http.NewResponseController(w), in: r.Body, ctx: r.Context(), trailer: func() http.Header { return r.Trailer }}
	p := s.config()
	st.pace.Reset(p.MinBodyRate, p.BodyWindow)
	st.idle.Store(int64(p.BodyTimeout))
	return st
}

// body is a stream as exchange.Body.
type body stream

var errStopped = errors.New("the request's body is not read any further")

// past is a deadline that makes waiting reads return.
var past = time.Unix(1, 0)

// Read implements exchange.Body.
func (p *body) Read(b []byte) (int, error) {
	if n, err := p.ReadArrived(b); n > 0 || err != nil {
		return n, err
	}
	p.pacing.Lock()
	p.control.SetReadDeadline(p.pace.Wait(time.Now(), time.Duration(p.idle.Load())))
	p.pacing.Unlock()
	if p.stopped.Load() {
		p.control.SetReadDeadline(past)
		return 0, errStopped
	}
	n, err := (*stream)(p).receive(b)
	p.pacing.Lock()
	defer p.pacing.Unlock()
	p.pace.Got(n, time.Now())
	if errors.Is(err, os.ErrDeadlineExceeded) && p.pace.TooSlow() && !p.stopped.Load() {
		c := p.s.config()
		return 0, strict.Refuse(408, "the request's body came with less than %d bytes per second over %s", c.MinBodyRate, c.BodyWindow)
	}
	if err == io.EOF {
		p.over = true
	}
	return n, err
}

// ReadArrived implements exchange.Body. quic-go does not say what has arrived.
func (p *body) ReadArrived(b []byte) (int, error) {
	switch {
	case p.stopped.Load():
		return 0, errStopped
	case len(p.ahead) > 0:
		n := copy(b, p.ahead)
		p.ahead = p.ahead[n:]
		return n, nil
	case p.over:
		return 0, io.EOF
	}
	return 0, nil
}

// Continue implements exchange.Body.
func (p *body) Continue() error {
	if p.awaits {
		p.awaits = false
		p.w.WriteHeader(http.StatusContinue)
	}
	return nil
}

// Stop implements exchange.Body.
func (p *body) Stop() {
	p.stopped.Store(true)
	p.control.SetReadDeadline(past)
}

// Trailer implements exchange.Body.
func (p *body) Trailer() (out exchange.Header) {
	for name, values := range p.trailer() {
		for _, v := range values {
			out.Add(name, v)
		}
	}
	return out
}

// reply is a stream as exchange.Reply.
type reply stream

var errNoAnswer = errors.New("no answer is under way")

// WriteHead implements exchange.Reply.
func (p *reply) WriteHead(h *exchange.Head) error {
	if p.sent || p.ended || p.aborted {
		return fmt.Errorf("write head %d: an answer was already started", h.Status)
	}
	p.awaits = false
	p.interrupted.Store(false)
	p.easeBody()
	p.headed = true
	p.head = exchange.Head{Status: h.Status, Length: h.Length, Header: append(p.head.Header[:0], h.Header...)}
	p.bodyless = p.x.Method == "HEAD" || h.Status == http.StatusNoContent || h.Status == http.StatusNotModified
	p.left = h.Length
	if p.bodyless || h.Length == exchange.LengthNone {
		p.left = 0
	}
	p.pending = p.pending[:0]
	return nil
}

// easeBody drops the demand on the body's rate: once the answer begins both may be a conversation. A read that waits
// already gets more time.
func (p *reply) easeBody() {
	p.pacing.Lock()
	defer p.pacing.Unlock()
	if p.pace.Waiting() {
		p.control.SetReadDeadline(time.Now().Add(time.Duration(p.idle.Load())))
		if p.stopped.Load() {
			p.control.SetReadDeadline(past)
		}
	}
	p.pace.Reset(0, 0)
}

// Write implements exchange.Reply.
func (p *reply) Write(b []byte) (int, error) {
	switch {
	case !p.headed || p.ended || p.aborted:
		return 0, fmt.Errorf("write body: %w", errNoAnswer)
	case p.bodyless || len(b) == 0:
		return len(b), nil
	case p.left >= 0 && int64(len(b)) > p.left:
		return 0, fmt.Errorf("write body: %d bytes more than the answer's length", int64(len(b))-p.left)
	}
	if p.left > 0 {
		p.left -= int64(len(b))
	}
	if !p.sent && len(p.pending)+len(b) <= pendingBytes {
		p.pending = append(p.pending, b...)
		return len(b), nil
	}
	if err := p.send(b); err != nil {
		return 0, err
	}
	return len(b), nil
}

// send writes the head if that has not been written, what is pending and b.
func (p *reply) send(b []byte) error {
	p.extend()
	if !p.sent {
		p.sent = true
		h := p.w.Header()
		h["Content-Type"] = nil // or quic-go would guess one
		for _, f := range p.head.Header {
			if name := http.CanonicalHeaderKey(f.Name); sendable(name) {
				h[name] = append(h[name], f.Value)
			}
		}
		if p.head.Length >= 0 && p.head.Status != http.StatusNoContent {
			h["Content-Length"] = []string{fmt.Sprint(p.head.Length)}
		}
		p.w.WriteHeader(p.head.Status)
		if err := p.write(p.pending); err != nil {
			return err
		}
		p.pending = nil
	}
	return p.write(b)
}

func (p *reply) write(b []byte) error {
	for len(b) > 0 {
		n := min(len(b), pieceBytes)
		p.extend()
		if _, err := p.w.Write(b[:n]); err != nil {
			p.cut = true
			return fmt.Errorf("write to the client: %w", err)
		}
		b = b[n:]
	}
	return nil
}

// extend gives the client time for the next write, unless writes are interrupted.
func (p *reply) extend() {
	p.control.SetWriteDeadline(time.Now().Add(p.s.config().WriteTimeout))
	if p.interrupted.Load() {
		p.control.SetWriteDeadline(past)
	}
}

// sendable reports whether a field may be in HTTP/3: RFC 9114, section 4.2.
func sendable(name string) bool {
	switch name {
	case "Connection", "Proxy-Connection", "Keep-Alive", "Transfer-Encoding", "Upgrade":
		return false
	}
	return true
}

// Flush implements exchange.Reply.
func (p *reply) Flush() error {
	if !p.headed || p.ended || p.aborted {
		return nil
	}
	if err := p.send(nil); err != nil {
		return err
	}
	p.extend()
	if err := p.control.Flush(); err != nil {
		p.cut = true
		return fmt.Errorf("write to the client: %w", err)
	}
	return nil
}

// End implements exchange.Reply. The stream's end goes out when the handler has returned.
func (p *reply) End(trailer exchange.Header) error {
	switch {
	case !p.headed || p.ended || p.aborted:
		return fmt.Errorf("end: %w", errNoAnswer)
	case p.left > 0:
		p.Abort()
		return fmt.Errorf("end: %d bytes of the answer are missing", p.left)
	}
	if err := p.Flush(); err != nil {
		return err
	}
	p.trailers(trailer)
	return nil
}

// Abort implements exchange.Reply. The stream is reset when the handler has returned.
func (p *reply) Abort() {
	if !p.ended {
		p.aborted = true
	}
}

// Interrupt implements exchange.Reply.
func (p *reply) Interrupt() {
	p.interrupted.Store(true)
	p.control.SetWriteDeadline(past)
}

var _ exchange.Failer = (*reply)(nil)

// Fail implements exchange.Failer. The trailers go out when the handler has returned. They can't follow a frame of which a
// part is missing: that would be read on into them.
func (p *reply) Fail(trailer exchange.Header) error {
	if !p.sent || p.ended || p.aborted || p.bodyless || p.left != exchange.LengthUnknown || p.cut {
		return fmt.Errorf("fail: %w", errNoAnswer)
	}
	p.interrupted.Store(false)
	p.extend()
	p.trailers(trailer)
	return nil
}

// trailers ends the answer.
func (p *reply) trailers(h exchange.Header) {
	for _, f := range h {
		p.w.Header().Add(http.TrailerPrefix+http.CanonicalHeaderKey(f.Name), f.Value)
	}
	p.ended = true
}

// Started implements exchange.Reply.
func (p *reply) Started() bool { return p.sent }

// SetIdle implements exchange.Reply.
func (p *reply) SetIdle(d time.Duration) {
	if d > 0 {
		p.idle.Store(int64(d))
	}
}

// Watch implements exchange.Reply.
func (p *reply) Watch(to exchange.Canceler) {
	p.watching.Lock()
	defer p.watching.Unlock()
	if p.unwatch != nil {
		return
	}
	p.watcher = to
	p.unwatch = context.AfterFunc(p.ctx, func() {
		p.watching.Lock()
		defer p.watching.Unlock()
		if p.watcher != nil {
			p.watcher.ClientGone()
			p.watcher = nil
		}
	})
}

// Unwatch implements exchange.Reply.
func (p *reply) Unwatch() {
	p.watching.Lock()
	defer p.watching.Unlock()
	if p.unwatch != nil {
		p.unwatch()
		p.unwatch = nil
	}
	p.watcher = nil
}
