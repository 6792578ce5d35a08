// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Run serves until ctx ends and then stops: Stopping is called; for Grace all goes on as before;
// then nothing new is taken, clients are told, and what is under way may end; at Deadline it is cut. It returns ctx's error, or that of a
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
	s.engine.LastAnswers(s.live.Load().Quiet) // also for what is still accepted
	s.front.close()
	s.finishRequests()
	s.front.work.Wait()
	stopHelpers()
	helping.Wait()
	return err
}

// grace goes on serving for Config.Grace: who sends clients here learns meanwhile that the edge leaves, and those that are
// told to reconnect after it don't come back.
func (s *Server) grace() {
	s.cfg.Stopping()
	if c := s.live.Load(); c.Grace > 0 {
		time.Sleep(c.Grace)
	}
}

// finishRequests has every connection end: HTTP/1's with its next answer, by Connection: close, HTTP/2's and 3's by GOAWAY,
// WebSockets by 1001; those without a request after Quiet.
func (s *Server) finishRequests() {
	c := s.live.Load()
	ctx, cancel := context.WithTimeout(context.Background(), c.Deadline)
	defer cancel() // after the wait for HTTP/3
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
