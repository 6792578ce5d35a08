// SPDX-License-Identifier: Apache-2.0

package http1

import (
	"context"
	"errors"
	"net"
	"net/netip"
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
	// MinBodyRate is how many bytes per second a request's body must bring, over each 20s of waiting for it, until the answer has
	// begun; else: 408. Zero: 500. Negative: none.
	MinBodyRate int
	// MaxRequests bounds the requests of one connection, which ends after the last. Zero: 10000.
	MaxRequests int
	// MaxConnections bounds the connections, each with a goroutine and some 10 KiB. Those above are answered 503 and closed. Zero: 16384.
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

// Server speaks HTTP/1.1 and 1.0 with clients: a goroutine for each connection, which Serve's caller need not know of;
// Shutdown waits for them.
type Server struct {
	live    atomic.Pointer[Config] // in force; Reconfigure replaces it
	closing atomic.Bool
	calm    atomic.Int64 // nanoseconds that a waiting connection is given while closing

	accepted, shed, acceptErrors atomic.Uint64

	wg    sync.WaitGroup // of the connections
	mu    sync.Mutex     // guards the fields below
	conns map[*conn]struct{}
	from  map[netip.Addr]int // connections by client address
	fed   map[net.Listener]*feed
	ended bool // no new connection is taken
}

// NewServer returns a server that starts nothing.
func NewServer(c Config) *Server {
	s := &Server{conns: map[*conn]struct{}{}, from: map[netip.Addr]int{}, fed: map[net.Listener]*feed{}}
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
func (s *Server) Serve(ln net.Listener) error {
	var delay time.Duration
	f := s.feedOf(ln)
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
	client := clientOf(nc)
	c := newConn(s, nc, client, f)
	cfg := s.config()
	s.mu.Lock()
	if s.ended || len(s.conns) >= cfg.MaxConnections || s.from[client.Addr()] >= cfg.MaxConnectionsPerAddress {
		s.mu.Unlock()
		s.shed.Add(1)
		shed(nc)
		return
	}
	s.conns[c] = struct{}{}
	s.from[client.Addr()]++
	f.wg.Add(1)
	s.wg.Add(1) // under the lock, so that Shutdown, which sets ended, waits for it
	s.mu.Unlock()
	go s.run(c)
}

// run is a connection's goroutine.
func (s *Server) run(c *conn) {
	defer s.wg.Done()
	defer c.feed.wg.Done()
	c.serve()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	if a := c.client.Addr(); s.from[a] > 1 {
		s.from[a]--
	} else {
		delete(s.from, a)
	}
}

// shed answers 503 without waiting: the bytes fit an empty socket's buffer, else they are lost.
func shed(nc net.Conn) {
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
	for c := range s.conns {
		c.goQuiet(quiet)
	}
	s.mu.Unlock()
	done := make(chan struct{})
	go func() { s.wg.Wait(); close(done) }()
	select {
	case <-done:
		return 0
	case <-ctx.Done():
	}
	s.mu.Lock()
	cut = len(s.conns)
	for c := range s.conns {
		c.nc.Close()
	}
	s.mu.Unlock()
	<-done
	return cut
}
