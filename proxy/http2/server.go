// SPDX-License-Identifier: Apache-2.0

package http2

import (
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"meridian/proxy/exchange"
	"meridian/proxy/strict"
)

// Config is what a Server needs. Its zero value but for Handler works.
type Config struct {
	// Handler answers the requests.
	Handler exchange.Handler
	// Limits bound a request's head. HeadBytes is counted as RFC 9113, section 6.5.2 does: 32 more for each field.
	strict.Limits
	// HeadTimeout bounds the time for a connection's preface, a whole header block and every single frame. Zero: 10s.
	HeadTimeout time.Duration
	// IdleTimeout is how long a connection may have no stream. Zero: 60s.
	IdleTimeout time.Duration
	// BodyTimeout bounds the silence within a request's body until the handler sets another. Zero: 60s.
	BodyTimeout time.Duration
	// WriteTimeout bounds the time in which a client takes what is written to it: a connection's bytes, and 4 KiB of a
	// stream's that waits for the client's window. Zero: 30s.
	WriteTimeout time.Duration
	// MinBodyRate is how many bytes per second a request's body must bring, over each 20s of waiting for it, until the answer has
	// begun; else: 408. Zero: 500. Negative: none.
	MinBodyRate int
	// MaxRequests bounds the requests of one connection, which takes no further ones after the last. Zero: 10000.
	MaxRequests int
	// MaxStreams bounds the streams of a connection at one time; twice as many handlers may be about to end. Zero: 100.
	MaxStreams int
	// Refused is told of each request that is refused for its form. Nil: nobody is.
	Refused func(client netip.AddrPort, r *strict.Refusal)
	// Panicked is told of a handler's panic. Nil: nobody is.
	Panicked func(v any, stack []byte)
}

func (c Config) withDefaults() Config {
	c.Limits = c.Limits.WithDefaults()
	for _, d := range []struct {
		v   *time.Duration
		def time.Duration
	}{{&c.HeadTimeout, 10 * time.Second}, {&c.IdleTimeout, time.Minute}, {&c.BodyTimeout, time.Minute}, {&c.WriteTimeout, 30 * time.Second}} {
		if *d.v <= 0 {
			*d.v = d.def
		}
	}
	if c.MinBodyRate == 0 {
		c.MinBodyRate = 500
	}
	if c.MaxRequests <= 0 {
		c.MaxRequests = 10000
	}
	if c.MaxStreams <= 0 {
		c.MaxStreams = 100
	}
	if c.Refused == nil {
		c.Refused = func(netip.AddrPort, *strict.Refusal) {}
	}
	if c.Panicked == nil {
		c.Panicked = func(any, []byte) {}
	}
	return c
}

// Peer is what is known of a connection's client.
type Peer struct {
	Addr netip.AddrPort
	// Scheme is "https" with TLS, else "http". ServerName is what the handshake named.
	Scheme, ServerName string
	// OnLeave takes what is to be called when this connection is to end, as Server.Stop ends all. Nil: nobody calls it.
	OnLeave func(func(quiet time.Duration))
}

// Stats counts what a Server has done.
type Stats struct {
	// Served counts the connections, Open those of now, Streams the requests, Misbehaved the connections that were closed
	// for too many glitches.
	Served, Streams, Misbehaved uint64
	Open                        int
}

// Server speaks HTTP/2 on connections that others accept. Its methods are safe for concurrent use.
type Server struct {
	live                        atomic.Pointer[Config] // in force; Reconfigure replaces it
	served, streams, misbehaved atomic.Uint64

	mu       sync.Mutex // guards the fields below
	conns    map[*conn]struct{}
	phase    phase
	quietFor time.Duration
}

// phase is how far the end has come: RFC 9113, section 6.8 asks for two GOAWAY, so that no request on its way is lost.
type phase uint8

const (
	running  phase = iota
	leaving        // clients are told to go elsewhere; what they still send is served
	stopping       // after a while, what comes is not served any more
)

// NewServer returns a server that starts nothing.
func NewServer(c Config) *Server {
	s := &Server{conns: map[*conn]struct{}{}}
	c = c.withDefaults()
	s.live.Store(&c)
	return s
}

func (s *Server) config() *Config { return s.live.Load() }

// Reconfigure puts other limits and timeouts in force, for open connections, too; but what their settings have promised to
// the client stays, where that is more. Handler, Refused and Panicked are c's.
func (s *Server) Reconfigure(c Config) {
	c = c.withDefaults()
	s.live.Store(&c)
}

// Stats returns the counts.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Stats{s.served.Load(), s.streams.Load(), s.misbehaved.Load(), len(s.conns)}
}

// Serve serves a connection until it ends, and closes it. read is what was read from it already.
func (s *Server) Serve(nc net.Conn, read []byte, p Peer) {
	c := newConn(s, nc, read, p)
	s.mu.Lock()
	s.conns[c] = struct{}{}
	phase, quiet := s.phase, s.quietFor
	s.mu.Unlock()
	s.served.Add(1)
	c.serve(func() {
		c.enter(phase, quiet)
		if p.OnLeave != nil {
			p.OnLeave(func(quiet time.Duration) { c.enter(stopping, quiet) })
		}
	})
	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
}

// Leave tells all clients, those to come included, to use other connections. Their requests are still served.
func (s *Server) Leave() { s.enter(leaving, 0) }

// Stop is Leave and, once quiet has passed, takes no further request: a connection ends with its last stream.
func (s *Server) Stop(quiet time.Duration) { s.enter(stopping, quiet) }

func (s *Server) enter(p phase, quiet time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.phase, s.quietFor = p, quiet
	for c := range s.conns {
		c.enter(p, quiet)
	}
}
