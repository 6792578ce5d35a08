// SPDX-License-Identifier: Apache-2.0

package http2

import (
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"meridian/proxy/policy"
)

// Config is what a Server needs: what holds for all engines. The connections are counted where they are accepted.
type Config = policy.Policy

// Peer is what is known of a connection's client.
type Peer struct {
	Addr netip.AddrPort
	// Listener is the address that it was accepted on.
	Listener netip.AddrPort
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
	live                        policy.Live // in force; Reconfigure replaces it
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
	s.live.Store(c)
	return s
}

func (s *Server) config() *Config { return s.live.Load() }

// Reconfigure puts other limits and timeouts in force, for open connections from their next request on, and tells those
// clients of MaxStreams and HeadBytes where they have changed. What c leaves open stays: see policy.Live.
func (s *Server) Reconfigure(c Config) {
	s.live.Store(c)
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.promiseAnew()
	}
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

// Stop tells all clients, those to come included, to use other connections and, once quiet has passed, takes no further
// request: a connection ends with its last stream.
func (s *Server) Stop(quiet time.Duration) { s.enter(stopping, quiet) }

// Resume undoes Stop for connections to come. Those that were told to end do.
func (s *Server) Resume() { s.enter(running, 0) }

func (s *Server) enter(p phase, quiet time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.phase, s.quietFor = p, quiet
	for c := range s.conns {
		c.enter(p, quiet)
	}
}
