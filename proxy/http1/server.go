// SPDX-License-Identifier: Apache-2.0

package http1

import (
	"context"
	"crypto/tls"
	"errors"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"meridian/proxy/exchange"
)

// Config is what a Server needs. Its zero value but for Handler works.
type Config struct {
	// Handler answers the requests.
	Handler exchange.Handler
	// Limits bound a request's head.
	Limits
	// HeadTimeout bounds the time for a head, and for a new connection's first byte. Zero: 10s.
	HeadTimeout time.Duration
	// IdleTimeout is how long a connection may wait for its next request. Zero: 60s.
	IdleTimeout time.Duration
	// BodyTimeout bounds the silence within a request's body until the handler sets another. Zero: 60s.
	BodyTimeout time.Duration
	// WriteTimeout bounds the time in which a client takes what is written to it. Zero: 30s.
	WriteTimeout time.Duration
	// HandshakeTimeout bounds the handshake of a connection that ServeTLS has accepted. Zero: 10s.
	HandshakeTimeout time.Duration
	// HTTP2 serves a connection that speaks HTTP/2: one whose TLS handshake has chosen that, or that begins with HTTP/2's
	// preface, which RFC 9113, section 3.3 calls prior knowledge. It closes the connection and returns when that has ended.
	// Nil: HTTP/2 is not spoken.
	HTTP2 func(Handover)
	// MinBodyRate is how many bytes per second a request's body must bring, over each 20s of waiting for it, until the answer has
	// begun; else: 408. Zero: 500. Negative: none.
	MinBodyRate int
	// MaxRequests bounds the requests of one connection, which ends after the last. Zero: 10000.
	MaxRequests int
	// MaxConnections bounds the connections: one with a request under way has a goroutine and some 20 KiB, one that waits
	// about 1 KiB (where there is no epoll: 10 KiB). Those above are answered 503 and closed. Zero: 16384.
	MaxConnections int
	// MaxConnectionsPerAddress bounds those of one client address. Zero: 4096.
	MaxConnectionsPerAddress int
	// Refused is told of each request that is refused for its form. Nil: nobody is.
	Refused func(client netip.AddrPort, r *Refusal)
	// Panicked is told of a handler's panic. Nil: nobody is.
	Panicked func(v any, stack []byte)
}

func (c Config) withDefaults() Config {
	c.Limits = c.Limits.WithDefaults()
	for _, d := range []struct {
		v   *time.Duration
		def time.Duration
	}{{&c.HeadTimeout, 10 * time.Second}, {&c.HandshakeTimeout, 10 * time.Second}, {&c.IdleTimeout, time.Minute}, {&c.BodyTimeout, time.Minute}, {&c.WriteTimeout, 30 * time.Second}} {
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
	if c.MaxConnections <= 0 {
		c.MaxConnections = 16384
	}
	if c.MaxConnectionsPerAddress <= 0 {
		c.MaxConnectionsPerAddress = 4096
	}
	if c.Refused == nil {
		c.Refused = func(netip.AddrPort, *Refusal) {}
	}
	if c.Panicked == nil {
		c.Panicked = func(any, []byte) {}
	}
	return c
}

// Stats counts what a Server has done.
type Stats struct {
	Accepted, Shed, AcceptErrors uint64
	Open                         int
}

// Server speaks HTTP/1.1 and 1.0 with clients. A connection with a request under way has a goroutine; one that waits for a
// request has none on Linux, where one goroutine waits for all of them. Shutdown waits for all of these.
type Server struct {
	live    atomic.Pointer[Config] // in force; Reconfigure replaces it
	closing atomic.Bool
	calm    atomic.Int64 // nanoseconds that a waiting connection is given while closing

	accepted, shed, acceptErrors atomic.Uint64

	wg    sync.WaitGroup // of the connections
	mu    sync.Mutex     // guards the fields below
	conns map[*peer]struct{}
	from  map[netip.Addr]int // connections by client address
	fed   map[net.Listener]*feed
	ended bool // no new connection is taken

	lot   lot       // of the connections that wait
	spare sync.Pool // of *conn. Not one for all servers: the timers in them belong to a test's virtual time
}

// NewServer returns a server that starts nothing.
func NewServer(c Config) *Server {
	s := &Server{conns: map[*peer]struct{}{}, from: map[netip.Addr]int{}, fed: map[net.Listener]*feed{}}
	c = c.withDefaults()
	s.live.Store(&c)
	return s
}

// Stats returns the counts.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	open := len(s.conns)
	s.mu.Unlock()
	return Stats{s.accepted.Load(), s.shed.Load(), s.acceptErrors.Load(), open}
}

// Serve accepts connections until the listener is closed; it then returns an error that is net.ErrClosed. An accept that
// fails for want of something, as of file descriptors, is tried again after 5 ms to 1 s.
func (s *Server) Serve(ln net.Listener) error { return s.serve(ln, s.feedOf(ln)) }

func (s *Server) serve(ln net.Listener, f *feed) error {
	var delay time.Duration
	for {
		nc, err := ln.Accept()
		if err == nil {
			delay = 0
			s.accepted.Add(1)
			s.start(nc, f)
			continue
		}
		if errors.Is(err, net.ErrClosed) {
			return err
		}
		s.acceptErrors.Add(1)
		delay = min(max(2*delay, 5*time.Millisecond), time.Second)
		time.Sleep(delay)
	}
}

// start takes a connection into service or turns it away.
func (s *Server) start(nc net.Conn, f *feed) {
	p := &peer{s: s, nc: nc, client: clientOf(nc), feed: f}
	p.tls, _ = nc.(*tls.Conn)
	if fd, ok := descriptor(nc); ok {
		p.fd, p.lot = fd, &s.lot
	}
	cfg := s.config()
	s.mu.Lock()
	if s.ended || len(s.conns) >= cfg.MaxConnections || s.from[p.client.Addr()] >= cfg.MaxConnectionsPerAddress {
		s.mu.Unlock()
		s.shed.Add(1)
		shed(nc)
		return
	}
	s.conns[p] = struct{}{}
	s.from[p.client.Addr()]++
	f.wg.Add(1)
	s.wg.Add(1) // under the lock, so that Shutdown, which sets ended, waits for it
	s.mu.Unlock()
	go p.run()
}

// forget takes a connection that has ended off the books.
func (s *Server) forget(p *peer) {
	s.mu.Lock()
	delete(s.conns, p)
	if a := p.client.Addr(); s.from[a] > 1 {
		s.from[a]--
	} else {
		delete(s.from, a)
	}
	s.mu.Unlock()
	p.feed.wg.Done()
	s.wg.Done()
}

// shed answers 503 without waiting: the bytes fit an empty socket's buffer, else they are lost.
func shed(nc net.Conn) {
	if _, ok := nc.(*tls.Conn); ok { // it would need a handshake to be told
		kernelConn(nc).Close()
		return
	}
	nc.SetWriteDeadline(time.Now().Add(time.Millisecond))
	nc.Write([]byte("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nRetry-After: 1\r\nConnection: close\r\n\r\n"))
	nc.Close()
}

func clientOf(nc net.Conn) netip.AddrPort {
	if a, ok := nc.RemoteAddr().(*net.TCPAddr); ok {
		ap := a.AddrPort()
		return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
	}
	return netip.AddrPort{}
}

// LastAnswers has every answer from now on end its connection. New connections are still served.
func (s *Server) LastAnswers(quiet time.Duration) {
	s.calm.Store(int64(quiet))
	s.closing.Store(true)
}

func (s *Server) quiet() time.Duration { return time.Duration(s.calm.Load()) }

// Shutdown ends the connections: one that waits for a request when it has been quiet for that time, so that a request
// which is on its way is still answered; one with a request under way after its answer. When ctx ends, the rest is cut.
// It returns when all have ended, and how many were cut. The listeners must have been closed.
func (s *Server) Shutdown(ctx context.Context, quiet time.Duration) (cut int) {
	s.LastAnswers(quiet)
	s.mu.Lock()
	s.ended = true
	s.mu.Unlock()
	s.goQuiet(nil, quiet)
	done := make(chan struct{})
	go func() { s.wg.Wait(); close(done) }()
	select {
	case <-done:
	case <-ctx.Done():
		cut = s.cutAll(nil)
		<-done
	}
	s.lot.close()
	return cut
}

// of returns the connections that a listener has brought; all without one.
func (s *Server) of(f *feed) []*peer {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := slices.Collect(maps.Keys(s.conns))
	return slices.DeleteFunc(all, func(p *peer) bool { return f != nil && p.feed != f })
}

// goQuiet has the connections of a listener, or all, leave when nothing has come from them within that time. They must not
// be parked any more: closing says so.
func (s *Server) goQuiet(f *feed, d time.Duration) {
	for _, p := range s.of(f) {
		p.goQuiet(d)
	}
	s.lot.goQuiet(f, d)
}

// cutAll closes the connections of a listener, or all, and returns how many those were.
func (s *Server) cutAll(f *feed) int {
	left := s.of(f)
	for _, p := range left {
		parked := s.lot.remove(p)
		kernelConn(p.nc).Close() // TLS would say goodbye, and wait for that
		if parked {
			p.end()
		} // else whoever serves it ends it
	}
	return len(left)
}
