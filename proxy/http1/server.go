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

	"meridian/proxy/policy"
)

// Config is what a Server needs: what holds for all engines.
type Config = policy.Policy

// Stats counts what a Server has done.
type Stats struct {
	Accepted, Shed, AcceptErrors uint64
	Open                         int
}

// Server speaks HTTP/1.1 and 1.0 with clients. A connection with a request under way has a goroutine; one that waits for a
// request has none on Linux, where one goroutine waits for all of them. Shutdown waits for all of these.
type Server struct {
	live    policy.Live // in force; Reconfigure replaces it
	http2   func(Handover)
	failing func(ln net.Listener, err error)
	closing atomic.Bool
	calm    atomic.Int64 // nanoseconds that a waiting connection is given while closing

	accepted, shed, acceptErrors atomic.Uint64

	wg    sync.WaitGroup // of the connections
	mu    sync.Mutex     // guards the fields below
	conns map[*peer]struct{}
	fed   map[net.Listener]*feed
	ended bool // no new connection is taken

	lot   lot       // of the connections that wait
	spare sync.Pool // of *conn. Not one for all servers: the timers in them belong to a test's virtual time
}

// NewServer returns a server that starts nothing.
func NewServer(c Config) *Server {
	s := &Server{conns: map[*peer]struct{}{}, fed: map[net.Listener]*feed{}, failing: func(net.Listener, error) {}}
	s.live.Store(c)
	return s
}

// OnHTTP2 has f serve the connections that speak HTTP/2: those whose TLS handshake has chosen that, or that begin with
// HTTP/2's preface, which RFC 9113, section 3.3 calls prior knowledge. f closes the connection and returns when that has
// ended. Without it HTTP/2 is not spoken. Call it before the first Serve.
func (s *Server) OnHTTP2(f func(Handover)) { s.http2 = f }

// OnAcceptFails has f told when a listener can take no connection, as for want of file descriptors, and with nil when it has
// taken one again: once each, however often it is tried meanwhile. Call it before the first Serve.
func (s *Server) OnAcceptFails(f func(ln net.Listener, err error)) { s.failing = f }

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
			if delay > 0 {
				s.failing(ln, nil)
			}
			delay = 0
			s.accepted.Add(1)
			s.start(nc, f)
			continue
		}
		if errors.Is(err, net.ErrClosed) {
			return err
		}
		s.acceptErrors.Add(1)
		if delay == 0 {
			s.failing(ln, err)
		}
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
	if !cfg.Census.Enter(p.client.Addr(), cfg.MaxConnections, cfg.MaxConnectionsPerAddress) {
		s.turnAway(nc)
		return
	}
	s.mu.Lock()
	if s.ended {
		s.mu.Unlock()
		cfg.Census.Leave(p.client.Addr())
		s.turnAway(nc)
		return
	}
	s.conns[p] = struct{}{}
	f.wg.Add(1)
	s.wg.Add(1) // under the lock, so that Shutdown, which sets ended, waits for it
	s.mu.Unlock()
	go p.run()
}

// forget takes a connection that has ended off the books.
func (s *Server) forget(p *peer) {
	s.mu.Lock()
	delete(s.conns, p)
	s.mu.Unlock()
	s.config().Census.Leave(p.client.Addr())
	p.feed.wg.Done()
	s.wg.Done()
}

func (s *Server) turnAway(nc net.Conn) {
	s.shed.Add(1)
	shed(nc)
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

func clientOf(nc net.Conn) netip.AddrPort { return addrPort(nc.RemoteAddr()) }

func addrPort(addr net.Addr) netip.AddrPort {
	if a, ok := addr.(*net.TCPAddr); ok {
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

// Leave has the connections there are end, as Shutdown does, those of HTTP/2 and tunnels included: one that waits for a request when it
// has been quiet for that time. One with a request under way is the handler's to end (exchange.Head.Close). New ones are taken as before.
func (s *Server) Leave(quiet time.Duration) {
	s.calm.CompareAndSwap(0, int64(quiet))
	s.goQuiet(nil, quiet)
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
