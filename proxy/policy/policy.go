// SPDX-License-Identifier: Apache-2.0

// Package policy holds what every engine enforces on clients: the limits and the deadlines, once for all versions of HTTP.
//
// It leaves the enforcing to the engines (proxy/http1, http2, http3), each by the means of its protocol. It starts nothing.
//
//	var live policy.Live
//	live.Store(policy.Policy{Handler: handle, IdleTimeout: time.Minute})
//	p := live.Load() // for each request anew
package policy

import (
	"net/netip"
	"runtime"
	"sync/atomic"
	"time"

	"meridian/proxy/census"
	"meridian/proxy/exchange"
	"meridian/proxy/strict"
	"meridian/proxy/turns"
)

// Policy is what an engine needs to know of how clients are served. Its zero value but for Handler works.
type Policy struct {
	// Handler answers the requests.
	Handler exchange.Handler
	// Limits bound a request's head. In HTTP/2 and 3 HeadBytes is counted as RFC 9113, section 6.5.2 does: 32 more for each
	// field. A client of HTTP/3 is told HeadBytes when it connects: raised later, it holds for later connections.
	strict.Limits
	// HandshakeTimeout bounds a TLS or QUIC handshake. Zero: 10s.
	HandshakeTimeout time.Duration
	// HeadTimeout bounds the time for a head, and for a new connection's first byte; in HTTP/2 also that for the preface and
	// every single frame. HTTP/3's connections must have brought a whole head within it once, and then have one in each
	// IdleTimeout without a request: quic-go lets no deadline be set before a head is whole. Zero: 10s.
	HeadTimeout time.Duration
	// IdleTimeout is how long a connection may be without a request. Zero: 60s.
	IdleTimeout time.Duration
	// BodyTimeout bounds the silence within a request's body until the handler sets another. Zero: 60s.
	BodyTimeout time.Duration
	// MinBodyRate is how many bytes per second a request's body must bring, over each BodyWindow of waiting for it, until the
	// answer has begun; else: 408. Zero: 500. Negative: none.
	MinBodyRate int
	// BodyWindow is the waiting over which MinBodyRate is demanded. Zero: exchange.PaceWindow.
	BodyWindow time.Duration
	// WriteTimeout bounds the time in which a client takes what is written to it: a connection's bytes in HTTP/1 and 2, and
	// 4 KiB of a stream's that waits for the client's window in HTTP/2; 32 KiB of a stream's in HTTP/3. Zero: 30s.
	WriteTimeout time.Duration
	// MaxRequests bounds the requests of one connection, which ends after the last: by Connection: close or GOAWAY. HTTP/3
	// serves up to MaxStreams more that were on their way. Zero: 10000.
	MaxRequests int
	// MaxStreams bounds the requests of a connection at one time, in HTTP/2 and 3. Clients of HTTP/2 are told when it
	// changes, in HTTP/3 it holds for later connections. Zero: 100.
	MaxStreams int
	// MaxConnections bounds the connections. One of HTTP/1 with a request under way has a goroutine and some 20 KiB, one that
	// waits about 1 KiB (where there is no epoll: 10 KiB). Above it HTTP/1 is answered 503, and TLS and QUIC are closed or
	// refused. Zero: 16384.
	MaxConnections int
	// MaxConnectionsPerAddress bounds those of one client address. Zero: 4096.
	MaxConnectionsPerAddress int
	// Census counts the connections, together with those of other engines that have the same one. It can't be exchanged for
	// another. Nil: one of the engine's own.
	Census *census.Census
	// Handshakes gives out the places of TLS handshakes that compute, together with those of other engines that have the same
	// one: HTTP/3's are not among them. It can't be exchanged for another. Nil: as many as HandshakePlaces says, of the engine's own.
	Handshakes *turns.Turns
	// Refused is told of each request that is refused for its form. Nil: nobody is.
	Refused func(client netip.AddrPort, r *strict.Refusal)
	// Panicked is told of a handler's panic. Nil: nobody is.
	Panicked func(v any, stack []byte)
}

// HandshakePlaces is how many TLS handshakes may compute at one time: half of the processors, so that whatever comes to shake
// hands leaves the other half to requests.
func HandshakePlaces() int { return max(1, runtime.GOMAXPROCS(0)/2) }

// WithDefaults returns p with every zero field replaced by its default, but for Handler, Census and Handshakes.
func (p Policy) WithDefaults() Policy {
	p.Limits = p.Limits.WithDefaults()
	for _, d := range []struct {
		v   *time.Duration
		def time.Duration
	}{
		{&p.HandshakeTimeout, 10 * time.Second}, {&p.HeadTimeout, 10 * time.Second}, {&p.IdleTimeout, time.Minute}, {&p.BodyTimeout, time.Minute},
		{&p.BodyWindow, exchange.PaceWindow}, {&p.WriteTimeout, 30 * time.Second},
	} {
		if *d.v <= 0 {
			*d.v = d.def
		}
	}
	for _, d := range []struct {
		v   *int
		def int
	}{{&p.MaxRequests, 10000}, {&p.MaxStreams, 100}, {&p.MaxConnections, 16384}, {&p.MaxConnectionsPerAddress, 4096}} {
		if *d.v <= 0 {
			*d.v = d.def
		}
	}
	if p.MinBodyRate == 0 {
		p.MinBodyRate = 500
	}
	if p.Refused == nil {
		p.Refused = func(netip.AddrPort, *strict.Refusal) {}
	}
	if p.Panicked == nil {
		p.Panicked = func(any, []byte) {}
	}
	return p
}

// Live is a Policy in force. Its methods are safe for concurrent use; the zero value has none yet.
type Live struct{ p atomic.Pointer[Policy] }

// Load returns the policy in force, which must not be changed. A connection asks for each request anew.
func (l *Live) Load() *Policy { return l.p.Load() }

// Store puts another policy in force, with its defaults. Handler, Refused and Panicked stay as they are where p has none, and
// the Census and Handshakes always.
func (l *Live) Store(p Policy) {
	if old := l.Load(); old != nil {
		p.Census, p.Handshakes = old.Census, old.Handshakes
		if p.Handler == nil {
			p.Handler = old.Handler
		}
		if p.Refused == nil {
			p.Refused = old.Refused
		}
		if p.Panicked == nil {
			p.Panicked = old.Panicked
		}
	}
	if p.Census == nil {
		p.Census = census.New()
	}
	if p.Handshakes == nil {
		p.Handshakes = turns.New(HandshakePlaces())
	}
	p = p.WithDefaults()
	l.p.Store(&p)
}
