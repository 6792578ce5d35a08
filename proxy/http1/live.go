// SPDX-License-Identifier: Apache-2.0

package http1

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"meridian/proxy/strict"
)

// config returns the configuration in force. A connection asks anew for each request, so that a change reaches it.
func (s *Server) config() *Config { return s.live.Load() }

// readerBytes is how large a connection's buffer may get.
func readerBytes(c *Config) int { return max(c.HeadBytes, strict.MaxTrailerBytes) + bufferBytes }

// Reconfigure puts other limits and timeouts in force, for open connections from their next request on. What c leaves open stays:
// see policy.Live. Connections above a lowered bound are not cut. Safe for concurrent use.
func (s *Server) Reconfigure(c Config) { s.live.Store(c) }

// feed is what one listener has brought.
type feed struct {
	addr    netip.AddrPort // of the listener
	closing atomic.Bool    // its connections end with their next answer
	wg      sync.WaitGroup // of its connections
}

// feedOf returns the listener's feed, which is made at its first use.
func (s *Server) feedOf(ln net.Listener) *feed {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.fed[ln]
	if f == nil {
		f = &feed{addr: addrPort(ln.Addr())}
		s.fed[ln] = f
	}
	return f
}

// Drain ends the connections of one listener as Shutdown ends all, and forgets the listener, which must have been closed and
// whose Serve must have returned. Those of other listeners go on untouched.
func (s *Server) Drain(ctx context.Context, ln net.Listener, quiet time.Duration) (cut int) {
	f := s.feedOf(ln)
	s.calm.CompareAndSwap(0, int64(quiet))
	f.closing.Store(true)
	s.goQuiet(f, quiet)
	done := make(chan struct{})
	go func() { f.wg.Wait(); close(done) }()
	select {
	case <-done:
	case <-ctx.Done():
		cut = s.cutAll(f)
		<-done
	}
	s.mu.Lock()
	delete(s.fed, ln)
	s.mu.Unlock()
	return cut
}
