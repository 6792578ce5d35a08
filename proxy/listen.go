// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"meridian/proxy/http3"
	"meridian/proxy/socket"
)

// listener is one address that clients are taken on.
type listener struct {
	addr   string // as configured
	tls    bool   // clients speak TLS on it
	udp    bool   // and HTTP/3 on the UDP port of that number
	ln     net.Listener
	served chan struct{} // closed when Serve has returned; nil before Run
	pc     net.PacketConn
	http3  *http3.Server // on pc, once it is served
}

// close ends accepting. What is served on pc goes on until endHTTP3.
func (l *listener) close() {
	if l.ln != nil {
		l.ln.Close()
	}
	if l.pc != nil && l.http3 == nil {
		l.pc.Close()
	}
}

// front is what the server listens on. It can change while the server runs.
type front struct {
	work   sync.WaitGroup // Serve and Drain of the listeners
	broken chan error     // of one: the first listener that failed by itself
	altSvc atomic.Pointer[altServices]

	mu        sync.Mutex // guards the fields below
	listeners []*listener
	leaving   []*listener // that went and are being drained
	gone      http3.Stats // of those that were
	running   bool        // Run serves them
	ended     bool        // nothing is added any more
}

// Listen binds all addresses, or none: an error names the one that it could not have. Call it once, before Run.
func (s *Server) Listen() error {
	added, err := bind(wanted(&s.cfg))
	s.front.listeners = added
	s.front.announce()
	return err
}

// Addrs returns the addresses that are bound, in the order of Config.Listen and then Config.ListenTLS.
func (s *Server) Addrs() []net.Addr {
	s.front.mu.Lock()
	defer s.front.mu.Unlock()
	var out []net.Addr
	for _, l := range s.front.listeners {
		out = append(out, l.ln.Addr())
	}
	return out
}

// wanted returns the listeners that c asks for, not bound yet.
func wanted(c *Config) (out []*listener) {
	for _, addr := range c.Listen {
		out = append(out, &listener{addr: addr})
	}
	for _, addr := range c.ListenTLS {
		out = append(out, &listener{addr: addr, tls: true, udp: c.HTTP3})
	}
	return out
}

// bind binds all listeners or none.
func bind(all []*listener) (_ []*listener, err error) {
	for i, l := range all {
		if err := l.bind(); err != nil {
			closeAll(all[:i])
			return nil, err
		}
	}
	return all, nil
}

// portTries is how often the system may choose a port for a listener that leaves it open: one that is free for TCP may be taken
// for UDP.
const portTries = 10

func (l *listener) bind() (err error) {
	for try := 1; ; try++ {
		if l.ln, err = socket.Listen(l.addr); err != nil {
			return l.notBound(err)
		}
		if !l.udp {
			return nil
		}
		if l.pc, err = net.ListenPacket("udp", l.ln.Addr().String()); err == nil {
			return nil
		}
		l.ln.Close()
		if !strings.HasSuffix(l.addr, ":0") || try == portTries || !errors.Is(err, syscall.EADDRINUSE) {
			return fmt.Errorf("listen on %s for HTTP/3: %w", l.addr, err)
		}
	}
}

// notBound says why there is no listener.
func (l *listener) notBound(err error) error {
	protocol := "HTTP"
	if l.tls {
		protocol = "HTTPS"
	}
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("listen on %s for %s: the address is taken by another program, or by a listener of this edge that overlaps it: %w", l.addr, protocol, err)
	}
	return fmt.Errorf("listen on %s for %s: %w", l.addr, protocol, err)
}

func closeAll(ls []*listener) {
	for _, l := range ls {
		l.close()
	}
}

// announce has answers over TLS say where HTTP/3 is spoken.
func (f *front) announce() {
	a := altServicesOf(f.listeners)
	f.altSvc.Store(&a)
}

// start begins to serve all listeners.
func (f *front) start(s *Server) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.listeners) == 0 {
		return errors.New("proxy: Run without Listen")
	}
	f.broken, f.running = make(chan error, 1), true
	for _, l := range f.listeners {
		f.serveLocked(s, l)
	}
	return nil
}

func (f *front) serveLocked(s *Server, l *listener) {
	failed := func(err error) {
		f.mu.Lock()
		defer f.mu.Unlock()
		if !f.ended && slices.Contains(f.listeners, l) {
			select {
			case f.broken <- err:
			default:
			}
		}
	}
	if l.pc != nil {
		l.http3 = http3.NewServer(s.policy(s.live.Load()), s.keys)
		f.work.Go(func() {
			if err := l.http3.Serve(l.pc, s.cfg.TLS.TLS()); !errors.Is(err, http.ErrServerClosed) {
				failed(fmt.Errorf("HTTP/3: %w", err))
			}
		})
	}
	l.served = make(chan struct{})
	f.work.Go(func() {
		defer close(l.served)
		var err error
		if l.tls {
			err = s.engine.ServeTLS(l.ln, s.cfg.TLS.TLS())
		} else {
			err = s.engine.Serve(l.ln)
		}
		failed(err)
	})
}

// acceptFails logs that a listener can take no connection, and once it can again.
func (s *Server) acceptFails(ln net.Listener, err error) {
	if err == nil {
		s.cfg.Logger.Info("connections are taken again", "listener", ln.Addr().String())
		return
	}
	s.cfg.Logger.Warn("no connection can be taken; those that are open go on, and it is tried again, at least once a second",
		"listener", ln.Addr().String(), "error", err)
}

// endHTTP3 ends HTTP/3 on the listener, and returns how many requests were cut.
func (l *listener) endHTTP3(ctx context.Context, quiet time.Duration) int {
	if l.http3 == nil {
		return 0
	}
	return l.http3.Shutdown(ctx, quiet)
}

// http3Stats is the sum over all listeners, those that went included.
func (f *front) http3Stats() http3.Stats {
	f.mu.Lock()
	defer f.mu.Unlock()
	sum := f.gone
	for _, l := range slices.Concat(f.listeners, f.leaving) {
		if l.http3 != nil {
			st := l.http3.Stats()
			sum.Open += st.Open
			sum.Requests += st.Requests
			sum.Shed += st.Shed
		}
	}
	return sum
}

// change takes added into service and removed out of it: those are closed, and their connections end with their next
// answer, at the latest after Deadline.
func (f *front) change(s *Server, next, added, removed []*listener) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ended {
		closeAll(added)
		return
	}
	f.listeners = next
	f.announce()
	closeAll(removed)
	if !f.running {
		return
	}
	for _, l := range added {
		f.serveLocked(s, l)
	}
	f.leaving = append(f.leaving, removed...)
	for _, l := range removed {
		f.work.Go(func() { s.drainListener(l) })
	}
}

func (s *Server) drainListener(l *listener) {
	<-l.served
	c := s.live.Load()
	ctx, cancel := context.WithTimeout(context.Background(), c.Deadline)
	defer cancel()
	var ending sync.WaitGroup
	var cut3 int
	ending.Go(func() { cut3 = l.endHTTP3(ctx, c.Quiet) })
	cut := s.engine.Drain(ctx, l.ln, c.Quiet)
	ending.Wait()
	s.front.left(l)
	if cut += cut3; cut > 0 {
		s.cfg.Logger.Warn("connections of a listener that was taken away were cut at the deadline",
			"listener", l.addr, "connections", cut, "deadline", c.Deadline)
	}
}

// left forgets a listener that was drained, but for what it has counted.
func (f *front) left(l *listener) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.leaving = slices.DeleteFunc(f.leaving, func(o *listener) bool { return o == l })
	if l.http3 != nil {
		st := l.http3.Stats()
		f.gone.Requests += st.Requests
		f.gone.Shed += st.Shed
	}
}

// close ends accepting for good, and returns when what was accepted is in service.
func (f *front) close() {
	f.mu.Lock()
	f.ended = true
	closeAll(f.listeners)
	f.mu.Unlock()
	for _, l := range f.listeners { // nothing changes them any more
		<-l.served
	}
}
