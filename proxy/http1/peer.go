// SPDX-License-Identifier: Apache-2.0

package http1

import (
	"bytes"
	"crypto/tls"
	"net"
	"net/netip"
	"sync"
	"time"
)

// peer is a client's connection as long as it lives: all that one which waits for a request costs. What serves a request
// is a conn, which is borrowed for as long as there is something to do.
type peer struct {
	// set once, never changed
	s      *Server
	nc     net.Conn
	client netip.AddrPort
	feed   *feed
	tls    *tls.Conn // nc, if it is that
	lot    *lot      // where it waits; nil where it can't be parked, and waits in its goroutine
	fd     int32

	// changed by whoever serves it
	secure                             // what TLS has found out
	hot      bool                      // its requests come at short intervals: it is waited for in the goroutine
	served   bool                      // it has had an answer
	parked   time.Time                 // when it was last
	requests int                       // that it has sent, one under way included
	mu       sync.Mutex                // guards the fields below, with the read deadline that belongs to them
	waiting  bool                      // for the next request, in its goroutine
	calmed   bool                      // goQuiet has set the deadline: it is not to be waited for beyond that
	leave    func(quiet time.Duration) // what serves it in another protocol is told so

	space // in the lot, guarded by the lot's mutex
}

// Waiting in the goroutine costs less than being parked and woken, if it is short. Ours.
const (
	coldPatience = 5 * time.Millisecond   // a new connection's first bytes come that soon
	hotPatience  = 200 * time.Millisecond // and the next request of a busy one
)

// patience is how long p is waited for before it is parked.
func (p *peer) patience() time.Duration {
	if p.hot {
		return hotPatience
	}
	return coldPatience
}

// run serves p until it is parked or ends. It is a goroutine.
func (p *peer) run() {
	if !p.parked.IsZero() {
		p.hot = time.Since(p.parked) < hotPatience
	}
	if p.tls != nil && !p.shaken {
		next := p.shake()
		go p.goOn(next) // the handshake has made this goroutine's stack large
		return
	}
	p.goOn(arrived)
}

// goOn serves p after the handshake, if there was one. It is a goroutine, or the end of one.
func (p *peer) goOn(next awaited) {
	var read []byte
	if next == arrived {
		next, read = p.serve()
	}
	switch next {
	case elsewhere:
		return // p belongs to the lot
	case asHTTP2:
		p.toHTTP2(read)
	}
	p.end()
}

// serve has a conn serve p. With asHTTP2 it returns what the client has sent already.
func (p *peer) serve() (why awaited, read []byte) {
	c := borrowConn(p)
	defer c.giveBack()
	if why = c.serve(); why == asHTTP2 {
		read = bytes.Clone(c.r.Buffered())
	}
	return why, read
}

// end closes the connection and forgets it.
func (p *peer) end() {
	p.nc.Close()
	p.s.forget(p)
}

// goQuiet makes a connection that waits for a request give up soon. One with a request under way ends after it.
func (p *peer) goQuiet(d time.Duration) {
	p.mu.Lock()
	p.calmed = true
	if p.waiting {
		p.nc.SetReadDeadline(time.Now().Add(d))
	}
	leave := p.leave
	p.mu.Unlock()
	if leave != nil {
		leave(d)
	}
}

// onLeave has f called once p is to end.
func (p *peer) onLeave(f func(quiet time.Duration)) {
	p.mu.Lock()
	p.leave = f
	calmed := p.calmed
	p.mu.Unlock()
	if calmed {
		f(p.s.quiet())
	}
}

// closing reports whether p is to end with its next answer.
func (p *peer) closing() bool { return p.s.closing.Load() || p.feed.closing.Load() }

// waitTimeout is how long p may wait for a request in all.
func (p *peer) waitTimeout() time.Duration {
	switch {
	case p.closing():
		return p.s.quiet()
	case !p.served:
		return p.s.config().HeadTimeout
	}
	return p.s.config().IdleTimeout
}
