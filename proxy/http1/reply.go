// SPDX-License-Identifier: Apache-2.0

package http1

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"sync"
	"time"

	"meridian/proxy/exchange"
	"meridian/proxy/socket"
)

// replyMode is the way in which the end of the answer's body is marked.
type replyMode uint8

const (
	replyNone   replyMode = iota // no body by its nature: what is written is dropped
	replyLength                  // Content-Length
	replyChunked
	replyUntilClose // to HTTP/1.0 clients
)

// replyState is what is known of the answer that is being written.
type replyState struct {
	mode    replyMode
	headed  bool  // WriteHead was called
	ended   bool  // End was called and the answer is whole
	aborted bool  // Abort was called
	sent    bool  // bytes of the final answer were given to the network
	keep    bool  // the connection outlives the answer
	left    int64 // of replyLength: bytes still to be written
	bytes   int64 // of the body, written
	err     error // the first error of the network
}

// outPool holds the buffers of answers. Pooled: a connection that waits for a request owns none.
var outPool = sync.Pool{New: func() any { return new([outBytes]byte) }}

// borrowOut makes sure that the connection has a buffer for its answer.
func (c *conn) borrowOut() {
	if c.out == nil {
		c.out = outPool.Get().(*[outBytes]byte)[:0]
	}
}

// returnOut gives the buffer back. What is in it is lost.
func (c *conn) returnOut() {
	if cap(c.out) == outBytes {
		outPool.Put((*[outBytes]byte)(c.out[:outBytes]))
	}
	c.out = nil
}

// outBytes is up to where writes are collected before they are sent. Ours: the head and a small body go out in one call.
const outBytes = 8 << 10

// reply is a conn as exchange.Reply.
type reply conn

// WriteHead implements exchange.Reply.
func (p *reply) WriteHead(h *exchange.Head) error {
	c := (*conn)(p)
	if c.reply.sent || c.reply.ended || c.reply.aborted {
		return fmt.Errorf("write head %d: an answer was already started", h.Status)
	}
	c.borrowOut()
	c.out = c.out[:0] // of an answer that broke before any of it was sent
	c.reply.bytes = 0
	if c.interrupted.Load() {
		c.calm()
	}
	c.awaits.Store(false) // from here on 100 (Continue) would be taken as a second answer
	c.reply.headed = true
	c.easeBody()
	c.reply.mode, c.reply.left = c.replyMode(h)
	c.reply.keep = c.head.keep && c.reply.mode != replyUntilClose && !c.p.closing() && !h.Close &&
		c.p.requests < c.s.config().MaxRequests && c.bodyTaken()
	c.out = appendStatus(c.out, h.Status)
	c.out = appendFields(c.out, h.Header)
	switch {
	case c.reply.mode == replyChunked:
		c.out = append(c.out, "Transfer-Encoding: chunked\r\n"...)
	case c.reply.mode == replyLength:
		c.out = appendLength(c.out, c.reply.left)
	case c.reply.mode == replyNone && h.Length >= 0 && h.Status != http.StatusNoContent:
		c.out = appendLength(c.out, h.Length)
	}
	if !c.reply.keep {
		c.out = append(c.out, "Connection: close\r\n"...)
	} else if !c.head.http11 {
		c.out = append(c.out, "Connection: keep-alive\r\n"...)
	}
	c.out = append(c.out, '\r', '\n')
	return nil
}

func (c *conn) replyMode(h *exchange.Head) (replyMode, int64) {
	switch {
	case c.head.Method == "HEAD" || h.Status == http.StatusNoContent || h.Status == http.StatusNotModified:
		return replyNone, 0
	case h.Length >= 0:
		return replyLength, h.Length
	case h.Length == exchange.LengthNone:
		return replyLength, 0
	case c.head.http11:
		return replyChunked, 0
	}
	return replyUntilClose, 0
}

// Write implements exchange.Reply.
func (p *reply) Write(b []byte) (int, error) {
	c := (*conn)(p)
	switch {
	case !c.reply.headed || c.reply.ended || c.reply.aborted:
		return 0, fmt.Errorf("write body: no answer is under way")
	case c.reply.mode == replyNone || len(b) == 0:
		return len(b), c.reply.err
	case c.reply.mode == replyLength && int64(len(b)) > c.reply.left:
		return 0, fmt.Errorf("write body: %d bytes more than the answer's Content-Length", int64(len(b))-c.reply.left)
	}
	if c.reply.mode == replyChunked {
		c.out = appendChunkSize(c.out, len(b))
	}
	if err := c.put(b); err != nil {
		return 0, err
	}
	if c.reply.mode == replyChunked {
		c.out = append(c.out, '\r', '\n')
	}
	c.reply.left -= int64(len(b))
	c.reply.bytes += int64(len(b))
	return len(b), nil
}

// put adds b to what is to be sent, and sends it where it would get too much.
func (c *conn) put(b []byte) error {
	if len(c.out)+len(b) <= outBytes {
		c.out = append(c.out, b...)
		return nil
	}
	return c.send(b)
}

// send writes what was collected and b in one call of the system.
func (c *conn) send(b []byte) error {
	if c.reply.err != nil {
		return c.reply.err
	}
	if len(c.out)+len(b) == 0 {
		return nil
	}
	c.reply.sent = true
	var n int
	var err error
	if !c.interrupted.Load() {
		n, err = c.sock.WriteNow(c.out, b) // mostly there is room, and no deadline to be set
	}
	if out, b := socket.Cut(c.out, b, n); err == nil && len(out)+len(b) > 0 {
		c.extendWrite()
		if c.interrupted.Load() { // after extendWrite, which may have moved the deadline that Interrupt set
			c.nc.SetWriteDeadline(past)
		}
		_, err = c.sock.WriteBoth(out, b)
	}
	c.out = c.out[:0]
	if err != nil {
		c.reply.err = fmt.Errorf("write to the client: %w", err)
		c.reply.keep = false
	}
	return c.reply.err
}

// extendWrite sets the time by which the client must have taken what is written, before a write that may wait for it. A timer
// is moved only when a quarter of the time has passed.
func (c *conn) extendWrite() {
	now := time.Now()
	if c.writeBy.Sub(now) < c.s.config().WriteTimeout*3/4 {
		c.writeBy = now.Add(c.s.config().WriteTimeout)
		c.nc.SetWriteDeadline(c.writeBy)
	}
}

// Flush implements exchange.Reply.
func (p *reply) Flush() error {
	c := (*conn)(p)
	if len(c.out) == 0 || c.reply.aborted {
		return c.reply.err
	}
	return c.send(nil)
}

// End implements exchange.Reply.
func (p *reply) End(trailer exchange.Header) error {
	c := (*conn)(p)
	switch {
	case !c.reply.headed || c.reply.ended || c.reply.aborted:
		return fmt.Errorf("end: no answer is under way")
	case c.reply.mode == replyLength && c.reply.left > 0:
		p.Abort()
		return fmt.Errorf("end: %d bytes of the answer are missing", c.reply.left)
	case c.reply.mode == replyChunked:
		c.out = AppendLastChunk(c.out, trailer)
	}
	c.reply.ended = true
	return p.Flush()
}

// Abort implements exchange.Reply. What was collected is dropped: only a broken answer may be seen.
func (p *reply) Abort() {
	c := (*conn)(p)
	if c.reply.ended || c.reply.aborted {
		return
	}
	c.reply.aborted, c.reply.keep = true, false
	c.out = c.out[:0]
	c.cut(c.reply.mode == replyUntilClose || errors.Is(c.reply.err, os.ErrDeadlineExceeded)) // the kernel would go on trying for minutes
}

// Interrupt implements exchange.Reply.
func (p *reply) Interrupt() {
	p.interrupted.Store(true)
	p.nc.SetWriteDeadline(past)
}

// calm ends what Interrupt began.
func (c *conn) calm() {
	c.interrupted.Store(false)
	c.writeBy = time.Time{} // the deadline in force is Interrupt's
}

// Started implements exchange.Reply.
func (p *reply) Started() bool { return p.reply.sent }

// SetIdle implements exchange.Reply.
func (p *reply) SetIdle(d time.Duration) {
	if d > 0 {
		p.idle = d
	}
}

// Watch implements exchange.Reply.
func (p *reply) Watch(to exchange.Canceler) { p.watch.arm((*conn)(p), to) }

// Unwatch implements exchange.Reply.
func (p *reply) Unwatch() { p.watch.disarm((*conn)(p)) }
