// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"errors"
	"io"
	"slices"

	"meridian/proxy/policy"
)

// Change is another configuration that has been prepared: its new addresses are bound. Commit puts it in force, which
// cannot fail; Abort gives the addresses back. One of the two must be called.
type Change struct {
	s                    *Server
	config               Config
	next, added, removed []*listener
}

// Prepare binds the addresses of c.Listen and c.ListenTLS that are not bound yet. Nothing else changes. Of c, these can change while the server
// runs: Listen, ListenTLS, HandshakeTimeout, the limits and timeouts of clients, the retries, TrustedProxies and Managed, Grace, Quiet, Deadline and AccessLog;
// the rest is not looked at. One
// change at a time: the caller sees to that.
func (s *Server) Prepare(c Config) (*Change, error) {
	if len(c.ListenTLS) > 0 && s.cfg.TLS == nil {
		return nil, errors.New("proxy: ListenTLS without TLS")
	}
	c.HTTP3 = s.cfg.HTTP3
	ch := &Change{s: s, config: c.withDefaults()}
	s.front.mu.Lock()
	left := slices.Clone(s.front.listeners)
	s.front.mu.Unlock()
	for _, w := range wanted(&c) {
		i := slices.IndexFunc(left, func(l *listener) bool { return l.addr == w.addr && l.tls == w.tls })
		if i < 0 {
			ch.added = append(ch.added, w)
			ch.next = append(ch.next, w)
			continue
		}
		ch.next = append(ch.next, left[i])
		left = slices.Delete(left, i, i+1)
	}
	ch.removed = left
	if _, err := bind(ch.added); err != nil {
		return nil, err
	}
	return ch, nil
}

// Commit puts the change in force: open connections follow from their next request on, listeners that stay are not touched,
// those that went are drained in the background.
func (c *Change) Commit() {
	s := c.s
	s.live.Store(&c.config)
	p := s.policy(&c.config)
	s.engine.Reconfigure(p)
	s.http2.Reconfigure(p)
	for _, l := range slices.Concat(c.next, c.removed) {
		if l.http3 != nil {
			l.http3.Reconfigure(p)
		}
	}
	s.upstream.SetLimits(c.config.Limits)
	s.h2.SetLimits(c.config.Limits)
	s.log.to(c.config.AccessLog)
	s.front.change(s, c.next, c.added, c.removed)
}

// Abort undoes Prepare.
func (c *Change) Abort() { closeAll(c.added) }

// policy is what c demands of clients, for all engines and listeners.
func (s *Server) policy(c *Config) policy.Policy {
	return policy.Policy{
		Handler: s.handle, Limits: c.Limits, HandshakeTimeout: c.HandshakeTimeout, HeadTimeout: c.HeadTimeout, IdleTimeout: c.IdleTimeout,
		MinBodyRate: c.MinBodyRate, BodyWindow: c.BodyWindow, WriteTimeout: c.WriteTimeout, MaxRequests: c.MaxRequests, MaxStreams: c.MaxStreams,
		MaxConnections: c.MaxConnections, MaxConnectionsPerAddress: c.MaxConnectionsPerAddress, Census: s.places, Handshakes: s.shakers,
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
