// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"
	"syscall"
	"time"
)

// front is what the server listens on.
type front struct {
	listeners []net.Listener   // those of Listen, then those of ListenTLS
	packets   []net.PacketConn // for HTTP/3: those of ListenTLS
	altSvc    string           // what answers over TLS say of HTTP/3, "" without it
}

// Listen binds all addresses, or none: an error names the one that it could not have. Call it once, before Run.
func (s *Server) Listen() error {
	for _, addr := range slices.Concat(s.cfg.Listen, s.cfg.ListenTLS) {
		ln, err := net.Listen("tcp", addr)
		if err != nil {
			s.closeListeners()
			if errors.Is(err, syscall.EADDRINUSE) {
				return fmt.Errorf("listen on %s for HTTP: the address is taken by another program: %w", addr, err)
			}
			return fmt.Errorf("listen on %s for HTTP: %w", addr, err)
		}
		s.front.listeners = append(s.front.listeners, ln)
	}
	return s.listenHTTP3()
}

// Addrs returns the addresses that are bound, in the order of Config.Listen and then Config.ListenTLS.
func (s *Server) Addrs() []net.Addr {
	var out []net.Addr
	for _, ln := range s.front.listeners {
		out = append(out, ln.Addr())
	}
	return out
}

// listenHTTP3 binds the UDP ports beside the TCP ports with TLS.
func (s *Server) listenHTTP3() error {
	if s.http3 == nil {
		return nil
	}
	for i, ln := range s.front.listeners[len(s.cfg.Listen):] {
		pc, err := net.ListenPacket("udp", ln.Addr().String())
		if err != nil {
			s.closeListeners()
			for _, pc := range s.front.packets {
				pc.Close()
			}
			return fmt.Errorf("listen on %s for HTTP/3: %w", ln.Addr(), err)
		}
		s.front.packets = append(s.front.packets, pc)
		if i == 0 {
			_, port, _ := net.SplitHostPort(pc.LocalAddr().String())
			s.front.altSvc = `h3=":` + port + `"; ma=86400`
		}
	}
	return nil
}

func (s *Server) closeListeners() {
	for _, ln := range s.front.listeners {
		ln.Close()
	}
}

// Run serves until ctx ends and then stops: Stopping is called; for Grace all goes on, but answers end their connections;
// then nothing new is taken and what is under way may end; at Deadline it is cut. It returns ctx's error, or that of a
// listener that broke, when everything that it started has ended.
func (s *Server) Run(ctx context.Context) error {
	if len(s.front.listeners) == 0 {
		return errors.New("proxy: Run without Listen")
	}
	helpers, stopHelpers := context.WithCancel(context.Background()) // they must outlive the last request
	var helping, accepting sync.WaitGroup
	helping.Go(func() { s.upstream.Run(helpers) })
	helping.Go(func() { s.log.run(helpers) })
	broken := make(chan error, len(s.front.listeners)+len(s.front.packets))
	for i, ln := range s.front.listeners {
		accepting.Go(func() {
			if i < len(s.cfg.Listen) {
				broken <- s.engine.Serve(ln)
			} else {
				broken <- s.engine.ServeTLS(ln, s.cfg.TLS.TLS())
			}
		})
	}
	for _, pc := range s.front.packets {
		helping.Go(func() {
			if err := s.http3.Serve(pc); !errors.Is(err, http.ErrServerClosed) {
				broken <- fmt.Errorf("HTTP/3: %w", err)
			}
		})
	}
	if s.cfg.TLS != nil {
		helping.Go(func() { s.cfg.TLS.Run(helpers) })
	}

	var err error
	select {
	case <-ctx.Done():
		err = ctx.Err()
		s.grace()
	case err = <-broken:
		err = fmt.Errorf("accept: %w", err)
	}
	s.stopping.Store(true)
	s.closeListeners()
	accepting.Wait()
	s.finishRequests()
	stopHelpers()
	helping.Wait()
	return err
}

// grace goes on serving for Config.Grace.
func (s *Server) grace() {
	s.engine.LastAnswers(s.cfg.IdleTimeout)
	s.http2.Leave()
	s.cfg.Stopping()
	if s.cfg.Grace > 0 {
		time.Sleep(s.cfg.Grace)
	}
}

func (s *Server) finishRequests() {
	ctx, cancel := context.WithTimeout(context.Background(), s.cfg.Deadline)
	defer cancel() // after the wait for HTTP/3
	s.http2.Stop(s.cfg.Quiet)
	var ending sync.WaitGroup
	defer ending.Wait()
	if s.http3 != nil {
		ending.Go(func() { s.metrics.shutdownCut.Add(s.http3.Shutdown(ctx, s.cfg.Quiet)) })
	}
	if cut := s.engine.Shutdown(ctx, s.cfg.Quiet); cut > 0 {
		s.metrics.shutdownCut.Add(cut)
		s.cfg.Logger.Warn("connections were cut at the shutdown's deadline", "connections", cut, "deadline", s.cfg.Deadline)
	}
}
