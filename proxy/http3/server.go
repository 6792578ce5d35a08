// SPDX-License-Identifier: Apache-2.0

// Package http3 is the HTTP/3 engine (RFC 9114): quic-go's server, whose requests become exchanges. Heads are held to
// proxy/strict as in the other engines, on top of quic-go's own checks. 0-RTT is off: a request that can be replayed is none
// that a proxy may judge. Half an answer ends in a reset stream, never in a clean end.
//
// A connection has a server of quic-go's for itself (conn.go), since that says GOAWAY to all connections of a server or to
// none. It is counted from its first packet on; a client that sends many must show that its address is its own.
//
// It leaves to the caller the UDP socket and the certificates. quic-go owns the goroutines: some for each connection, and
// one for each stream, which runs the handler. Shutdown waits for them.
//
//	s := http3.NewServer(http3.Config{Handler: handle}, http3.NewKeys())
//	go s.Serve(udp, conf)
//	…
//	s.Shutdown(ctx, time.Second)
package http3

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"
	xhttp3 "github.com/quic-go/quic-go/http3"

	"meridian/proxy/policy"
)

// Config is what a Server needs: what holds for all engines.
type Config = policy.Policy

// Keys are what QUIC's servers of one program share, so that one can answer for another that had its port before: they make
// the tokens of stateless resets and of validated addresses (RFC 9000, sections 10.3 and 8.1.3).
type Keys struct {
	reset quic.StatelessResetKey
	token quic.TokenGeneratorKey
}

// NewKeys returns keys that no other program has.
func NewKeys() *Keys {
	k := &Keys{}
	rand.Read(k.reset[:])
	rand.Read(k.token[:])
	return k
}

// Windows that clients get, as in proxy/http2, and from how many handshakes in a second on a client must show that its
// address is its own (RFC 9000, section 8.1.2): one that is begun and never ended costs 90 KB for HandshakeTimeout. Ours.
const (
	streamWindow     = 256 << 10
	connectionWindow = 512 << 10
	trustingRate     = 100
)

// Server speaks HTTP/3. Its methods are safe for concurrent use.
type Server struct {
	live   policy.Live // in force; Reconfigure replaces it
	keys   *Keys
	linger time.Duration // lingerTime, but in tests

	second         atomic.Int64 // of the handshakes counted in begun
	begun          atomic.Int64
	requests, shed atomic.Uint64

	ending     context.Context // no connection is taken any more
	end        context.CancelFunc
	over       chan struct{}  // closed by Shutdown as its last
	work       sync.WaitGroup // of the connections
	listenerAt netip.AddrPort // set by Serve

	mu    sync.Mutex // guards the fields below
	conns map[*conn]struct{}
}

// Stats counts what a Server has done.
type Stats struct {
	// Open is how many connections there are, Shed how many were refused.
	Open           int
	Requests, Shed uint64
}

// NewServer returns a server that starts nothing.
func NewServer(c Config, k *Keys) *Server {
	s := &Server{keys: k, linger: lingerTime, over: make(chan struct{}), conns: map[*conn]struct{}{}}
	s.ending, s.end = context.WithCancel(context.Background())
	s.live.Store(c)
	return s
}

func (s *Server) config() *Config { return s.live.Load() }

// Reconfigure puts other limits and timeouts in force, for open connections from their next request on. What QUIC tells a
// client once, as it connects, holds for later connections: MaxStreams, and a HeadBytes that is raised.
func (s *Server) Reconfigure(c Config) { s.live.Store(c) }

// Stats returns the counts.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Stats{len(s.conns), s.requests.Load(), s.shed.Load()}
}

// Serve takes connections on a UDP socket until Shutdown, and closes it. It then returns http.ErrServerClosed. conf has the
// certificates; it is copied.
func (s *Server) Serve(pc net.PacketConn, conf *tls.Config) error {
	defer pc.Close()
	if a, ok := pc.LocalAddr().(*net.UDPAddr); ok {
		s.listenerAt = a.AddrPort()
	}
	t := &quic.Transport{
		Conn: pc, VerifySourceAddress: s.suspicious, ConnContext: s.admit,
		StatelessResetKey: &s.keys.reset, TokenGeneratorKey: &s.keys.token,
	}
	defer t.Close()
	conf = conf.Clone()
	conf.MinVersion = tls.VersionTLS13
	ln, err := t.Listen(xhttp3.ConfigureTLSConfig(conf), s.quicConfig())
	if err != nil {
		return err
	}
	defer ln.Close()
	for {
		q, err := ln.Accept(s.ending)
		if err != nil {
			if s.ending.Err() == nil {
				return err
			}
			<-s.over // requests under way need the socket
			return http.ErrServerClosed
		}
		s.take(q)
	}
}

// quicConfig is made anew for each connection, by the configuration that is in force then.
func (s *Server) quicConfig() *quic.Config {
	c := s.config()
	return &quic.Config{
		HandshakeIdleTimeout: c.HandshakeTimeout / 2,                            // quic-go gives the whole of a handshake twice that
		MaxIdleTimeout:       c.IdleTimeout, KeepAlivePeriod: c.IdleTimeout / 2, // a quiet request is not idle; a client that is gone is found out
		MaxIncomingStreams: int64(c.MaxStreams), MaxIncomingUniStreams: 8,
		InitialStreamReceiveWindow: streamWindow, MaxStreamReceiveWindow: streamWindow,
		InitialConnectionReceiveWindow: connectionWindow, MaxConnectionReceiveWindow: connectionWindow,
		GetConfigForClient: func(*quic.ClientInfo) (*quic.Config, error) { return s.quicConfig(), nil },
	}
}

// suspicious reports whether a client must show that it gets what is sent to its address, which costs a round trip: when
// there are many handshakes, and when half of its places are taken, so that nobody can take them all in its name.
func (s *Server) suspicious(addr net.Addr) bool {
	c := s.config()
	if all, from := c.Census.Count(clientOf(addr).Addr()); all >= c.MaxConnections/2 || from >= (c.MaxConnectionsPerAddress+1)/2 {
		return true
	}
	if now := time.Now().Unix(); s.second.Swap(now) != now {
		s.begun.Store(0)
	}
	return s.begun.Add(1) > trustingRate
}

// errNoPlace has quic-go refuse a connection.
var errNoPlace = errors.New("there are too many connections")

// admit counts a connection from its first packet until it ends, if there is a place for it.
func (s *Server) admit(ctx context.Context, info *quic.ClientInfo) (context.Context, error) {
	c, client := s.config(), clientOf(info.RemoteAddr).Addr()
	if s.ending.Err() != nil || !c.Census.Enter(client, c.MaxConnections, c.MaxConnectionsPerAddress) {
		s.shed.Add(1)
		return nil, errNoPlace
	}
	context.AfterFunc(ctx, func() { c.Census.Leave(client) })
	return ctx, nil
}

// take has a connection served whose handshake is made.
func (s *Server) take(q *quic.Conn) {
	c := newConn(s, q)
	s.mu.Lock()
	s.conns[c] = struct{}{}
	ended := s.ending.Err() != nil
	s.work.Go(func() { // under the lock, so that Shutdown waits for it
		c.serve()
		s.mu.Lock()
		delete(s.conns, c)
		s.mu.Unlock()
	})
	s.mu.Unlock()
	if ended {
		c.leave(0)
	}
}

func clientOf(addr net.Addr) netip.AddrPort {
	a, ok := addr.(*net.UDPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	ap := a.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

// Leave says GOAWAY on all connections there are, and has each end: one without a request after quiet, one with requests when those are
// answered. New ones are taken as before.
func (s *Server) Leave(quiet time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.leave(quiet)
	}
}

// Shutdown takes no further connection, says GOAWAY on all there are, and lets them end: one without a request after quiet,
// one with requests when those are answered. When ctx ends, the rest is cut. It returns when all have ended, and how many
// requests were cut. Call it once.
func (s *Server) Shutdown(ctx context.Context, quiet time.Duration) (cut int) {
	s.mu.Lock()
	s.end()
	for c := range s.conns {
		c.leave(quiet)
	}
	s.mu.Unlock()
	done := make(chan struct{})
	go func() { s.work.Wait(); close(done) }()
	select {
	case <-done:
	case <-ctx.Done():
		s.mu.Lock()
		for c := range s.conns {
			cut += c.cut()
		}
		s.mu.Unlock()
		<-done
	}
	close(s.over)
	return cut
}
