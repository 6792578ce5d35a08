// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Run serves until ctx ends and then stops: Stopping is called; for Grace all goes on, but answers end their connections;
// then nothing new is taken and what is under way may end; at Deadline it is cut. It returns ctx's error, or that of a
// listener that broke, when everything that it started has ended.
func (s *Server) Run(ctx context.Context) error {
	helpers, stopHelpers := context.WithCancel(context.Background()) // they must outlive the last request
	var helping sync.WaitGroup
	helping.Go(func() { s.upstream.Run(helpers) })
	helping.Go(func() { s.h2.Run(helpers) })
	helping.Go(func() { s.log.run(helpers) })
	if err := s.front.start(s); err != nil {
		stopHelpers()
		helping.Wait()
		return err
	}
	if s.cfg.TLS != nil {
		helping.Go(func() { s.cfg.TLS.Run(helpers) })
	}

	var err error
	select {
	case <-ctx.Done():
		err = ctx.Err()
		s.grace()
	case err = <-s.front.broken:
		err = fmt.Errorf("accept: %w", err)
	}
	s.stopping.Store(true)
	s.front.close()
	s.finishRequests()
	s.front.work.Wait()
	stopHelpers()
	helping.Wait()
	return err
}

// grace goes on serving for Config.Grace.
func (s *Server) grace() {
	c := s.live.Load()
	s.engine.LastAnswers(c.IdleTimeout)
	s.http2.Leave()
	s.cfg.Stopping()
	if c.Grace > 0 {
		time.Sleep(c.Grace)
	}
}

func (s *Server) finishRequests() {
	c := s.live.Load()
	ctx, cancel := context.WithTimeout(context.Background(), c.Deadline)
	defer cancel() // after the wait for HTTP/3
	s.tunnels.end(min(shutdownGoodbye, c.Deadline))
	s.http2.Stop(c.Quiet)
	var ending sync.WaitGroup
	defer ending.Wait()
	for _, l := range s.front.listeners { // nothing changes them any more
		ending.Go(func() { s.metrics.shutdownCut.Add(l.endHTTP3(ctx, c.Quiet)) })
	}
	if cut := s.engine.Shutdown(ctx, c.Quiet); cut > 0 {
		s.metrics.shutdownCut.Add(cut)
		s.cfg.Logger.Warn("connections were cut at the shutdown's deadline", "connections", cut, "deadline", c.Deadline)
	}
}
