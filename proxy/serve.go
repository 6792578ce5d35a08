// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"syscall"
	"time"
)

// front is what the server listens on.
type front struct {
	listeners []net.Listener
}

// Listen binds all addresses, or none: an error names the one that it could not have. Call it once, before Run.
func (s *Server) Listen() error {
	for _, addr := range s.cfg.Listen {
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
	return nil
}

// Addrs returns the addresses that are bound, in the order of Config.Listen.
func (s *Server) Addrs() []net.Addr {
	var out []net.Addr
	for _, ln := range s.front.listeners {
		out = append(out, ln.Addr())
	}
	return out
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
	helping.Go(func() { s.h2.Run(helpers) })
	helping.Go(func() { s.log.run(helpers) })
	broken := make(chan error, len(s.front.listeners))
	for _, ln := range s.front.listeners {
		accepting.Go(func() { broken <- s.engine.Serve(ln) })
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
	s.cfg.Stopping()
	if s.cfg.Grace > 0 {
		time.Sleep(s.cfg.Grace)
	}
}

func (s *Server) finishRequests() {
	ctx, cancel := context.WithTimeout(context.Background(), s.cfg.Deadline)
	defer cancel()
	s.tunnels.end(min(shutdownGoodbye, s.cfg.Deadline))
	if cut := s.engine.Shutdown(ctx, s.cfg.Quiet); cut > 0 {
		s.metrics.shutdownCut.Add(cut)
		s.cfg.Logger.Warn("connections were cut at the shutdown's deadline", "connections", cut, "deadline", s.cfg.Deadline)
	}
}
