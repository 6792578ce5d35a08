// SPDX-License-Identifier: Apache-2.0

package http1

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"meridian/proxy/exchange"
)

// conn is a client's connection. Its goroutine runs serve; a handler's second goroutine may read the request's body.
type conn struct {
	// set once, never changed
	s      *Server
	nc     net.Conn
	feed   *feed
	client netip.AddrPort
	ip     string // of client

	r       *Reader
	out     []byte    // collected, to be sent
	vec     [2][]byte // for one call that sends both
	vecs    net.Buffers
	writeBy time.Time // the write deadline in force

	x     exchange.Exchange
	head  requestHead
	msg   Message
	reply replyState
	watch watcher
	idle  time.Duration // bounds the silence within a body
	pause func() error  // c.wait, made once

	expected    bool         // the request had Expect: 100-continue
	awaits      atomic.Bool  // and 100 has not been sent yet
	bodyTouched atomic.Bool  // the handler has begun to read the body
	bodyDone    atomic.Bool  // and has come to its end
	bodyBytes   atomic.Int64 // that were read
	stopped     atomic.Bool  // Body.Stop was called

	memo     exchange.Memo
	requests int // answered on this connection, that under way included

	mu        sync.Mutex // guards the fields below, with the read deadlines that belong to them
	waiting   bool       // for the next request
	pace      exchange.Pace
	answering bool // the answer has begun: what is left of the body may come as it likes
}

func newConn(s *Server, nc net.Conn, client netip.AddrPort, f *feed) *conn {
	c := &conn{s: s, nc: nc, client: client, ip: client.Addr().String(), feed: f}
	c.r = NewReader(nc, s.config().readerBytes())
	c.pause = c.wait
	return c
}

// serve answers requests until the connection ends.
func (c *conn) serve() {
	first := true
	for c.await(first) && c.serveOne() {
		first = false
	}
	c.r.Release()
	c.returnOut()
	c.nc.Close()
}

// await waits for the first byte of a request. Nothing is said to a client that sends none.
func (c *conn) await(first bool) bool {
	if len(c.r.Buffered()) > 0 {
		return true
	}
	c.returnOut()
	c.mu.Lock()
	timeout := c.s.config().IdleTimeout
	if first {
		timeout = c.s.config().HeadTimeout
	}
	if c.closing() {
		timeout = c.s.quiet()
	}
	c.waiting = true
	c.nc.SetReadDeadline(time.Now().Add(timeout))
	c.mu.Unlock()

	err := c.r.Fill()

	c.mu.Lock()
	c.waiting = false
	c.mu.Unlock()
	return err == nil
}

// goQuiet makes a connection that waits for a request give up soon. One with a request under way ends after it.
func (c *conn) goQuiet(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waiting {
		c.nc.SetReadDeadline(time.Now().Add(d))
	}
}

// serveOne reads a request and has it answered. It reports whether the connection can take another one.
func (c *conn) serveOne() bool {
	received := time.Now()
	if err := c.readRequest(received); err != nil {
		c.refuseError(err)
		return false
	}
	c.idle = c.s.config().BodyTimeout
	c.expected = c.head.expects
	c.awaits.Store(c.expected)
	c.stopped.Store(false)
	c.bodyTouched.Store(false)
	c.bodyDone.Store(false)
	c.bodyBytes.Store(0)
	c.reply = replyState{}
	c.requests++
	c.paceBody()
	c.msg.reset(c.r, c.head.Length, c.pause)
	c.x = exchange.Exchange{
		Request: c.head.Request, Body: (*requestBody)(c), Reply: (*reply)(c),
		Client: c.client, ClientIP: c.ip, Received: received, Memo: &c.memo,
	}
	c.x.Scheme = "http"
	c.handle()
	c.watch.disarm(c)
	return c.finish()
}

// readRequest reads a head. The head's timeout runs from its first byte.
func (c *conn) readRequest(received time.Time) error {
	f := headFinder{limits: c.s.config().Limits}
	c.r.max = c.s.config().readerBytes() // it may have been raised meanwhile
	skipped, timed := false, false
	for {
		if !skipped {
			skipped = c.skipEmptyLine()
		}
		if skipped {
			n, refusal := f.find(c.r.Buffered())
			if refusal != nil {
				return refusal
			}
			if n > 0 {
				return c.parse(n)
			}
		}
		if !timed {
			timed = true
			c.nc.SetReadDeadline(received.Add(c.s.config().HeadTimeout))
		}
		if err := c.r.Fill(); err != nil {
			return err
		}
	}
}

// skipEmptyLine passes over one CRLF before a request: RFC 9112, section 2.2. It reports whether what is buffered now
// begins the request line; until then it wants to be called again.
func (c *conn) skipEmptyLine() bool {
	switch b := c.r.Buffered(); {
	case len(b) == 0 || len(b) == 1 && b[0] == '\r':
		return false
	case b[0] == '\r' && b[1] == '\n':
		c.r.Discard(2)
	}
	return true
}

// parse takes the head of n bytes that is buffered.
func (c *conn) parse(n int) error {
	refusal := parseRequest(c.r.Buffered()[:n], &c.head)
	c.r.Discard(n)
	if refusal != nil {
		return refusal
	}
	return nil
}

// handle runs the handler. A panic costs the one request.
func (c *conn) handle() {
	defer func() {
		if v := recover(); v != nil {
			c.s.config().Panicked(v, debug.Stack())
		}
	}()
	c.s.config().Handler(&c.x)
}

// finish ends the exchange after the handler has returned.
func (c *conn) finish() bool {
	c.x.Header = nil
	switch {
	case c.reply.aborted:
		return false
	case !c.reply.headed:
		c.answerError(500, "the edge could not answer the request")
		return false
	case !c.reply.ended:
		(*reply)(c).Abort()
		return false
	}
	if c.reply.keep && c.reply.err == nil {
		return true
	}
	asked := !c.head.keep && c.bodyTaken() && len(c.r.Buffered()) == 0 // the client wants it so, and has sent all
	if c.reply.err == nil && !asked {
		c.linger()
	}
	return false
}

// refuseError answers a request whose head was not taken, where there is somebody to answer to.
func (c *conn) refuseError(err error) {
	var refusal *Refusal
	switch {
	case errors.As(err, &refusal):
	case errors.Is(err, os.ErrDeadlineExceeded) && len(c.r.Buffered()) > 0:
		refusal = refuse(408, "the head was not sent within %s", c.s.config().HeadTimeout)
	default:
		return // it left
	}
	c.s.config().Refused(c.client, refusal)
	c.answerError(refusal.Status, refusal.Reason)
}

// answerError sends a small answer of the engine's own and ends the connection.
func (c *conn) answerError(status int, reason string) {
	c.reply = replyState{}
	c.head.keep, c.head.http11 = false, true
	h := exchange.Head{Status: status, Length: int64(len(reason) + 1), Header: exchange.Header{
		{Name: "Content-Type", Value: "text/plain; charset=utf-8"},
		{Name: "Date", Value: time.Now().UTC().Format(httpDate)},
	}}
	p := (*reply)(c)
	p.WriteHead(&h)
	io.WriteString(p, reason+"\n")
	if p.End(nil) == nil {
		c.linger()
	}
}

// httpDate is the form of RFC 9110, section 5.6.7.
const httpDate = "Mon, 02 Jan 2006 15:04:05 GMT"
