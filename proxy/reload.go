// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"io"
	"slices"

	"meridian/proxy/http1"
)

// Change is another configuration that has been prepared: its new addresses are bound. Commit puts it in force, which
// cannot fail; Abort gives the addresses back. One of the two must be called.
type Change struct {
	s                    *Server
	config               Config
	next, added, removed []*listener
}

// Prepare binds the addresses of c.Listen that are not bound yet. Nothing else changes. Of c, these can change while the server
// runs: Listen, the limits and timeouts of clients, the retries, TrustedProxies and Managed, Grace, Quiet, Deadline and AccessLog;
// the rest is not looked at. One
// change at a time: the caller sees to that.
func (s *Server) Prepare(c Config) (*Change, error) {
	ch := &Change{s: s, config: c.withDefaults()}
	s.front.mu.Lock()
	left := slices.Clone(s.front.listeners)
	s.front.mu.Unlock()
	var missing []string
	for _, addr := range c.Listen {
		i := slices.IndexFunc(left, func(l *listener) bool { return l.addr == addr })
		if i < 0 {
			missing = append(missing, addr)
			ch.next = append(ch.next, nil)
			continue
		}
		ch.next = append(ch.next, left[i])
		left = slices.Delete(left, i, i+1)
	}
	ch.removed = left
	var err error
	if ch.added, err = s.bind(missing); err != nil {
		return nil, err
	}
	added := ch.added
	for i := range ch.next {
		if ch.next[i] == nil {
			ch.next[i], added = added[0], added[1:]
		}
	}
	return ch, nil
}

// Commit puts the change in force: open connections follow from their next request on, listeners that stay are not touched,
// those that went are drained in the background.
func (c *Change) Commit() {
	s := c.s
	s.live.Store(&c.config)
	s.engine.Reconfigure(s.engineConfig(&c.config))
	s.upstream.SetLimits(c.config.Limits)
	s.log.to(c.config.AccessLog)
	s.front.change(s, c.next, c.added, c.removed)
}

// Abort undoes Prepare.
func (c *Change) Abort() { closeAll(c.added) }

// engineConfig is what an engine needs to know of c.
func (s *Server) engineConfig(c *Config) http1.Config {
	return http1.Config{
		Handler: s.handle, Limits: c.Limits, HeadTimeout: c.HeadTimeout, IdleTimeout: c.IdleTimeout,
		MinBodyRate: c.MinBodyRate, WriteTimeout: c.WriteTimeout, MaxRequests: c.MaxRequests,
		MaxConnections: c.MaxConnections, MaxConnectionsPerAddress: c.MaxConnectionsPerAddress,
		Refused: s.refused, Panicked: s.panicked,
	}
}

// to has further lines go to w, or none be written if w is nil. The writer before may still get lines for a moment.
func (a *accessLog) to(w io.Writer) {
	if w == nil {
		a.w.Store(nil)
		return
	}
	a.w.Store(&w)
}

// on reports whether lines are wanted.
func (a *accessLog) on() bool { return a.w.Load() != nil }
