// SPDX-License-Identifier: Apache-2.0

package dns

import (
	"context"
	"errors"
	"net/netip"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"meridian/dns/wire"
)

// longAgo is a deadline that ends every wait at once.
var longAgo = time.Unix(1, 0)

// Run answers queries until ctx is done, and returns its error when every listener, connection and goroutine has ended: an
// answer that is being written is still sent, which takes ReadTimeout at most. Listen must have succeeded.
func (s *Server) Run(ctx context.Context) error {
	if len(s.sockets) == 0 {
		return errors.New("dns: Run before Listen")
	}
	var wg sync.WaitGroup
	for _, sock := range s.sockets {
		// Few workers read in turn and answer in parallel; what comes faster waits in the kernel's buffer, and is dropped
		// there. A goroutine per packet would only move that queue into memory without a bound.
		for range max(2, runtime.GOMAXPROCS(0)) {
			wg.Go(func() { s.serveUDP(ctx, sock) })
		}
		wg.Go(func() { s.serveTCP(ctx, &wg, sock) })
	}
	<-ctx.Done()
	for _, sock := range s.sockets {
		_ = sock.udp.SetReadDeadline(longAgo) // fails only on a closed socket
		_ = sock.tcp.Close()
	}
	s.conns.interrupt()
	wg.Wait()
	s.Close()
	return ctx.Err()
}

// answer is authority.answer behind a net: one query that breaks an invariant must not take the edge down, since whoever
// sent it would send it to every edge. A panic is counted, logged once a minute, and its query gets SERVFAIL.
func (s *Server) answer(dst, message []byte, from netip.Addr, by transport) (out []byte) {
	defer func() {
		if v := recover(); v != nil {
			s.stats.panics.Inc()
			if s.panicLog.due(time.Now()) {
				s.cfg.Logger.Error("dns: answering a query panicked; please report this", "panic", v, "query", message, "stack", string(debug.Stack()))
			}
			out = servFail(dst, message)
		}
	}()
	return s.auth.answer(dst, message, from, by)
}

// interval says once a minute that something is due. Safe for concurrent use; the zero value is due at once.
type interval struct{ last atomic.Int64 }

func (i *interval) due(now time.Time) bool {
	last := i.last.Load()
	return now.UnixNano()-last >= int64(time.Minute) && i.last.CompareAndSwap(last, now.UnixNano())
}

// servFail appends the answer that needs no thought.
func servFail(dst, message []byte) []byte {
	var q wire.Query
	if q.Parse(message) == wire.ErrIgnore {
		return nil
	}
	w := wire.NewWriter(dst, &q, wire.MinUDPBytes)
	out, _ := w.Finish(wire.Reply{Rcode: wire.ServFail})
	return out
}

// pause waits before the next try after a fault of a socket, longer each time up to a second, and logs it. It returns
// false when ctx is done.
func (s *Server) pause(ctx context.Context, faults int, what string, err error) bool {
	s.cfg.Logger.Warn("dns: "+what, "err", err)
	t := time.NewTimer(min(time.Second, 5*time.Millisecond<<min(faults, 8)))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
