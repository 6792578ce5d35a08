// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"slices"
	"strings"
	"time"
)

// ExplainRequest returns what is known of the requests with an id: those that are under way, whoever sent them, and those that were
// answered lately and asked for an explanation; at most 16 of each. Safe for concurrent use.
func (s *Server) ExplainRequest(id string) []RequestExplanation {
	var out []RequestExplanation
	now := time.Now()
	for _, g := range []*registry{&s.relays, &s.waiting} {
		for i := range g.shards {
			out = g.shards[i].explain(id, now, out)
		}
	}
	return append(out, s.explained.find(id, now)...)
}

// explain appends those of the shard's relays that have the id.
func (s *registryShard) explain(id string, now time.Time, out []RequestExplanation) []RequestExplanation {
	s.mu.Lock()
	defer s.mu.Unlock()
	for r := s.head; r != nil && len(out) < maxExplained; r = r.next {
		if r.id == id {
			out = append(out, r.explainLive(now))
		}
	}
	return out
}

// explainLive is the explanation of a request that is under way. It reads only what does not change while the relay is in a registry, and
// what may be read at any time. The caller holds the lock of its shard.
func (r *relay) explainLive(now time.Time) RequestExplanation {
	x := r.explanation(now)
	x.BytesOut = max(0, r.progress.Load()-1)
	r.mu.Lock()
	connected, tunnel := r.conn != nil, r.tunnel != nil
	r.mu.Unlock()
	switch {
	case r.node == nil:
		x.State = "waiting"
	case tunnel:
		x.State = "tunnel"
	case r.progress.Load() > 0:
		x.State = "streaming"
	case connected:
		x.State = "waiting for head"
	default:
		x.State = "connecting"
	}
	if r.node != nil && r.asked == nil {
		w := r.lease.Why()
		x.Attempts = append(x.Attempts, Attempt{Why: w, Short: w.String()})
	}
	return x
}

// explanation is what is the same of a request at any time. Strings of the request are cloned: their memory is used again.
func (r *relay) explanation(now time.Time) RequestExplanation {
	path := r.x.Path[:min(len(r.x.Path), maxLoggedPath)]
	x := RequestExplanation{
		ID: strings.Clone(r.id), Received: r.x.Received, Method: strings.Clone(r.x.Method), Host: strings.Clone(r.x.Host), Path: strings.Clone(path),
		Took: now.Sub(r.x.Received),
	}
	if r.route != nil {
		x.Route, x.Pool = r.route.Name, r.route.Pool
	}
	if r.asked != nil {
		x.Attempts = slices.Clone(r.asked.attempts)
	} else {
		x.Attempts = slices.Clone(r.record.attempts)
	}
	return x
}

// keepExplained keeps the explanation of a request that has ended, if its client has asked for it.
func (r *relay) keepExplained() {
	if r.asked == nil {
		return
	}
	now := time.Now()
	x := r.explanation(now)
	x.State, x.Status, x.BytesOut, x.Err = "done", r.record.status, r.record.bytesOut, strings.Clone(r.record.err)
	r.s.explained.add(x, now)
}
