// SPDX-License-Identifier: Apache-2.0

package http1

import (
	"errors"
	"io"
	"net"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"meridian/proxy/exchange"
	"meridian/proxy/socket"
)

// conn serves a client's connection while there is something to do: it has the buffers and all that belongs to a request.
// Its goroutine runs serve; a handler's second goroutine may read the request's body. Conns are pooled: see peer.
type conn struct {
	// set when it is borrowed
	p        *peer
	s        *Server
	nc       net.Conn
	ip       [maxAddrBytes]byte // of the client, as text
	clientIP string             // a part of ip
	memo     exchange.Memo
	x        exchange.Exchange

	sock    socket.Socket // reads and writes nc
	room    socket.Room   // of nc, once it was asked for
	r       Reader
	out     []byte    // collected, to be sent
	writeBy time.Time // the write deadline in force

	head  requestHead
	msg   Message
	reply replyState
	watch watcher
	idle  time.Duration // bounds the silence within a body
	pause func() error  // c.wait, made once
	lends atomic.Bool   // the read deadline is that of a wait for a request, and the next wait may do with it
	grown bool          // the goroutine's stack has room for a request

	expected    bool         // the request had Expect: 100-continue
	awaits      atomic.Bool  // and 100 has not been sent yet
	bodyTouched atomic.Bool  // the handler has begun to read the body
	bodyDone    atomic.Bool  // and has come to its end
	bodyBytes   atomic.Int64 // that were read
	stopped     atomic.Bool  // Body.Stop was called
	interrupted atomic.Bool  // Reply.Interrupt was called

	mu        sync.Mutex // guards the fields below, with the read deadlines that belong to them
	pace      exchange.Pace
	answering bool // the answer has begun: what is left of the body may come as it likes
}

// maxAddrBytes is the length of the longest address as text. One with a zone, which may be longer, is allocated.
const maxAddrBytes = len("ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255")

// borrowConn returns a conn for p.
func borrowConn(p *peer) *conn {
	c, ok := p.s.spare.Get().(*conn)
	if !ok {
		c = &conn{}
		c.pause = c.wait
	}
	c.p, c.s, c.nc = p, p.s, p.nc
	c.sock.Reset(p.nc)
	c.r.src, c.r.max = &c.sock, 0 // it holds nothing: giveBack has seen to that
	c.writeBy = time.Time{}
	c.grown = false
	c.lends.Store(false)
	text := p.client.Addr().AppendTo(c.ip[:0])
	c.clientIP = unsafe.String(unsafe.SliceData(text), len(text))
	return c
}

// giveBack ends the use of c.
func (c *conn) giveBack() {
	c.r.Release()
	c.returnOut()
	c.head.release()
	c.msg = Message{}
	c.x = exchange.Exchange{}
	c.memo = exchange.Memo{} // the next one's client is another
	c.pace, c.answering = exchange.Pace{}, false
	s := c.s
	c.sock.Reset(nil)
	c.room.Reset(nil)
	c.p, c.s, c.nc = nil, nil, nil
	s.spare.Put(c)
}

// serve answers requests until there is nothing to do for c any more, and says why: over, elsewhere or asHTTP2.
func (c *conn) serve() awaited {
	for woken := true; ; woken = false {
		got, received := c.await(woken), time.Now()
		if got == arrived && !c.p.served {
			got = c.awaitPreface(received)
		}
		if got != arrived {
			return got
		}
		if !c.serveOne(received) {
			return over
		}
		c.p.served = true
	}
}

// awaited is what came of waiting for a request.
type awaited uint8

const (
	over      awaited = iota // nothing comes any more
	arrived                  // its first byte
	elsewhere                // the connection is parked
	asHTTP2                  // HTTP/2's preface, which is buffered with what came behind it
)

// await waits for the first byte of a request: for a short time here, then in the lot. Nothing is said to a client that
// sends none. woken says that something has just happened on the connection: it was accepted, or the lot has heard of bytes. Those
// are read then without a deadline and without a look before.
func (c *conn) await(woken bool) awaited {
	if len(c.r.Buffered()) > 0 {
		return arrived
	}
	if woken {
		if n, err := c.r.FillNow(); err != nil {
			return over
		} else if n > 0 {
			c.p.hot = c.p.served
			return arrived
		}
	}
	c.returnOut()
	p := c.p
	if p.lot == nil {
		return c.awaitHere(0)
	}
	got := c.awaitHere(p.patience())
	if got != elsewhere {
		return got
	}
	c.r.Release()
	if p.lot.park(p) {
		return elsewhere
	}
	return c.awaitHere(0)
}

// awaitHere waits in the goroutine: for patience, or if that is 0, as long as a connection may wait at all.
func (c *conn) awaitHere(patience time.Duration) awaited {
	for {
		lent, short := c.timeWait(patience)
		err := c.r.FillLazily()

		p := c.p
		p.mu.Lock()
		p.waiting = false
		calmed := p.calmed
		p.mu.Unlock()
		switch {
		case err == nil:
			p.hot = p.served // a client that sends its first request at once need not go on so
			return arrived
		case calmed || !errors.Is(err, os.ErrDeadlineExceeded):
			return over
		case lent:
			c.lends.Store(false) // it was another wait's deadline: this one has a time of its own
			continue
		case short:
			return elsewhere
		}
		return over
	}
}

// timeWait sets the deadline of a wait for a request. short says that it is that of patience. Where requests follow closely it
// is not set for each: the deadline of an earlier wait may be lent, and ends the wait too early then, but never too late.
func (c *conn) timeWait(patience time.Duration) (lent, short bool) {
	p := c.p
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waiting = true
	timeout := p.waitTimeout()
	if short = patience > 0 && patience < timeout && !p.calmed; short {
		timeout = patience
	}
	lends := short && patience == hotPatience
	if lends && c.lends.Load() {
		return true, short
	}
	c.readBy(time.Now().Add(timeout))
	c.lends.Store(lends)
	return false, short
}

// readBy sets the read deadline.
func (c *conn) readBy(t time.Time) {
	c.lends.Store(false)
	c.nc.SetReadDeadline(t)
}

// serveOne reads a request and has it answered. It reports whether the connection can take another one.
func (c *conn) serveOne(received time.Time) bool {
	if err := c.readRequest(received); err != nil {
		c.refuseError(err)
		return false
	}
	c.idle = c.s.config().BodyTimeout
	c.expected = c.head.expects
	c.awaits.Store(c.expected)
	c.stopped.Store(false)
	if c.interrupted.Load() {
		c.calm()
	}
	c.bodyTouched.Store(false)
	c.bodyDone.Store(false)
	c.bodyBytes.Store(0)
	c.reply = replyState{}
	c.p.requests++
	c.paceBody()
	c.msg.reset(&c.r, c.head.Length, c.pause)
	c.x = exchange.Exchange{
		Request: c.head.Request, Body: (*requestBody)(c), Reply: (*reply)(c),
		Client: c.p.client, ClientIP: c.clientIP, Received: received, Memo: &c.memo,
	}
	c.x.Scheme, c.x.ServerName, c.x.Listener = c.p.scheme(), c.p.serverName, c.p.feed.addr
	c.handle()
	c.watch.disarm(c)
	return c.finish()
}

// readRequest reads a head. The head's timeout runs from its first byte.
func (c *conn) readRequest(received time.Time) error {
	f := headFinder{limits: c.s.config().Limits}
	c.r.max = readerBytes(c.s.config()) // it may have been raised meanwhile
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
			c.readBy(received.Add(c.s.config().HeadTimeout))
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
	if !c.grown { // not before the head is whole: a client that sends it slowly is to cost little
		c.grown = true
		exchange.GrowStack()
	}
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
	c.s.config().Refused(c.p.client, refusal)
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
