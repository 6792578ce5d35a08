// SPDX-License-Identifier: Apache-2.0

// Package http3 is the HTTP/3 engine (RFC 9114): quic-go's server, whose requests become exchanges. Heads are held to
// proxy/strict as in the other engines, on top of quic-go's own checks. 0-RTT is off: a request that can be replayed is none
// that a proxy may judge. Half an answer ends in a reset stream, never in a clean end.
//
// It leaves to the caller the UDP socket and the certificates. quic-go owns the goroutines: some for each connection, and
// one for each stream, which runs the handler. Shutdown waits for them.
//
//	s := http3.NewServer(http3.Config{Handler: handle, TLS: conf})
//	go s.Serve(udp)
//	…
//	s.Shutdown(ctx, time.Second)
package http3

import (
	"context"
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

	"meridian/proxy/exchange"
	"meridian/proxy/strict"
)

// Config is what a Server needs. Its zero value but for Handler and TLS works.
type Config struct {
	// Handler answers the requests.
	Handler exchange.Handler
	// TLS has the certificates. It is copied.
	TLS *tls.Config
	// Limits bound a request's head.
	strict.Limits
	// HandshakeTimeout bounds the silence within a handshake. Zero: 10s.
	HandshakeTimeout time.Duration
	// IdleTimeout is how long a connection may have no request. Zero: 60s.
	IdleTimeout time.Duration
	// BodyTimeout bounds the silence within a request's body until the handler sets another. Zero: 60s.
	BodyTimeout time.Duration
	// WriteTimeout bounds the time in which a client takes 32 KiB of what is written to it. Zero: 30s.
	WriteTimeout time.Duration
	// MinBodyRate is how many bytes per second a request's body must bring, over each 20s of waiting for it, until the answer has
	// begun; else: 408. Zero: 500. Negative: none.
	MinBodyRate int
	// MaxStreams bounds the requests of a connection at one time. Zero: 100.
	MaxStreams int
	// MaxConnections bounds the connections, MaxConnectionsPerAddress those of one client address. Zero: 16384 and 4096.
	MaxConnections, MaxConnectionsPerAddress int
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
	}{{&c.HandshakeTimeout, 10 * time.Second}, {&c.IdleTimeout, time.Minute}, {&c.BodyTimeout, time.Minute}, {&c.WriteTimeout, 30 * time.Second}} {
		if *d.v <= 0 {
			*d.v = d.def
		}
	}
	if c.MinBodyRate == 0 {
		c.MinBodyRate = 500
	}
	for _, d := range []struct {
		v   *int
		def int
	}{{&c.MaxStreams, 100}, {&c.MaxConnections, 16384}, {&c.MaxConnectionsPerAddress, 4096}} {
		if *d.v <= 0 {
			*d.v = d.def
		}
	}
	if c.Refused == nil {
		c.Refused = func(netip.AddrPort, *strict.Refusal) {}
	}
	if c.Panicked == nil {
		c.Panicked = func(any, []byte) {}
	}
	return c
}

// Windows that clients get, as in proxy/http2, and from how many handshakes in a second on a client must show that its
// address is its own (RFC 9000, section 8.1.2). Ours.
const (
	streamWindow     = 256 << 10
	connectionWindow = 512 << 10
	trustingRate     = 500
)

// errExcessiveLoad is H3_EXCESSIVE_LOAD: RFC 9114, section 8.1.
const errExcessiveLoad = 0x107

// Server speaks HTTP/3. Its methods are safe for concurrent use.
type Server struct {
	live atomic.Pointer[Config] // in force; Reconfigure replaces it
	http *xhttp3.Server

	second   atomic.Int64 // of the handshakes counted in begun
	begun    atomic.Int64
	requests atomic.Uint64

	over chan struct{} // closed by Shutdown as its last

	mu     sync.Mutex // guards the fields below
	open   int
	from   map[netip.Addr]int
	active int           // requests
	calm   chan struct{} // closed when active falls to 0, where somebody waits for that
}

// Stats counts what a Server has done.
type Stats struct {
	Open     int
	Requests uint64
}

// NewServer returns a server that starts nothing.
func NewServer(c Config) *Server {
	c = c.withDefaults()
	s := &Server{from: map[netip.Addr]int{}, over: make(chan struct{})}
	s.live.Store(&c)
	s.http = &xhttp3.Server{Handler: http.HandlerFunc(s.serve), MaxHeaderBytes: c.HeadBytes, IdleTimeout: c.IdleTimeout}
	return s
}

func (s *Server) config() *Config { return s.live.Load() }

// Reconfigure puts other limits and timeouts in force. What quic-go was told at the start stays: HeadBytes as an upper bound,
// HandshakeTimeout, IdleTimeout and MaxStreams.
func (s *Server) Reconfigure(c Config) {
	c = c.withDefaults()
	s.live.Store(&c)
}

// Stats returns the counts.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Stats{s.open, s.requests.Load()}
}

// Serve takes connections on a UDP socket until Shutdown, and closes it. It then returns http.ErrServerClosed.
func (s *Server) Serve(pc net.PacketConn) error {
	defer pc.Close()
	t := &quic.Transport{Conn: pc, VerifySourceAddress: s.suspicious}
	defer t.Close()
	cfg := s.config()
	conf := cfg.TLS.Clone()
	conf.MinVersion = tls.VersionTLS13
	ln, err := t.Listen(xhttp3.ConfigureTLSConfig(conf), &quic.Config{
		HandshakeIdleTimeout: cfg.HandshakeTimeout, MaxIdleTimeout: cfg.IdleTimeout, MaxIncomingStreams: int64(cfg.MaxStreams), MaxIncomingUniStreams: 8,
		InitialStreamReceiveWindow: streamWindow, MaxStreamReceiveWindow: streamWindow,
		InitialConnectionReceiveWindow: connectionWindow, MaxConnectionReceiveWindow: connectionWindow,
	})
	if err != nil {
		return err
	}
	defer ln.Close()
	err = s.http.ServeListener(&limited{ln, s})
	if errors.Is(err, http.ErrServerClosed) {
		<-s.over // requests under way need the socket
	}
	return err
}

// suspicious reports whether a client must show that it gets what is sent to its address, which costs a round trip.
func (s *Server) suspicious(net.Addr) bool {
	if now := time.Now().Unix(); s.second.Swap(now) != now {
		s.begun.Store(0)
	}
	return s.begun.Add(1) > trustingRate
}

// limited is a listener that turns connections away.
type limited struct {
	*quic.Listener
	s *Server
}

// Accept implements http3.QUICListener.
func (l *limited) Accept(ctx context.Context) (*quic.Conn, error) {
	for {
		c, err := l.Listener.Accept(ctx)
		if err != nil || l.s.admit(c) {
			return c, err
		}
		c.CloseWithError(errExcessiveLoad, "too many connections")
	}
}

// admit counts a connection until it ends, if there is a place for it.
func (s *Server) admit(c *quic.Conn) bool {
	addr := clientOf(c.RemoteAddr().String()).Addr()
	s.mu.Lock()
	defer s.mu.Unlock()
	if cfg := s.config(); s.open >= cfg.MaxConnections || s.from[addr] >= cfg.MaxConnectionsPerAddress {
		return false
	}
	s.open++
	s.from[addr]++
	context.AfterFunc(c.Context(), func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.open--
		if s.from[addr]--; s.from[addr] == 0 {
			delete(s.from, addr)
		}
	})
	return true
}

func clientOf(addr string) netip.AddrPort {
	ap, err := netip.ParseAddrPort(addr)
	if err != nil {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

// count changes the number of requests under way.
func (s *Server) count(by int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.active += by; s.active == 0 && s.calm != nil {
		close(s.calm)
		s.calm = nil
	}
}

// Shutdown says GOAWAY, waits quiet and then for the requests under way, and closes all connections; when ctx ends, at
// once. It returns how many requests were cut. Call it once.
func (s *Server) Shutdown(ctx context.Context, quiet time.Duration) (cut int) {
	defer close(s.over)
	going, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- s.http.Shutdown(going) }()
	wait := time.NewTimer(quiet)
	defer wait.Stop()
	select {
	case <-wait.C:
	case <-ctx.Done():
	}
	s.mu.Lock()
	calm := make(chan struct{})
	if s.active == 0 {
		close(calm)
	} else {
		s.calm = calm
	}
	s.mu.Unlock()
	select {
	case <-calm:
	case <-ctx.Done():
		s.mu.Lock()
		cut = s.active
		s.mu.Unlock()
	}
	stop() // Shutdown would wait for clients to leave by themselves
	if err := <-done; err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
		s.http.Close()
	}
	return cut
}
