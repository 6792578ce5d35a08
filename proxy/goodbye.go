// SPDX-License-Identifier: Apache-2.0

package proxy

import "net/netip"

// Leave has clients told to use other edges, each by the means of its protocol: Connection: close with the next answer, GOAWAY over
// HTTP/2 and 3. What is under way goes on, streams and WebSockets too, and whoever still comes is served. With false, those that come
// from then on are told nothing. Safe for concurrent use.
func (s *Server) Leave(on bool) {
	s.leaving.Store(on)
	if !on {
		s.http2.Resume()
		return
	}
	quiet := s.live.Load().Quiet
	s.http2.Stop(quiet)
	s.eachHTTP3(func(l *listener) { l.http3.Leave(quiet) })
}

// CutAll aborts every request and stream, ends every connection that is open, and returns how many requests and streams it has cut.
// WebSockets get a close frame with 1001, streams of events a last event, HTTP/2 and 3 GOAWAY. New connections are still taken. Safe for
// concurrent use.
func (s *Server) CutAll() int {
	n := 0
	for i := range s.relays.shards {
		n += s.relays.shards[i].cutAll()
	}
	s.metrics.nodeCut.Add(n)
	quiet := s.live.Load().Quiet
	s.engine.Leave(quiet)
	s.eachHTTP3(func(l *listener) { l.http3.Leave(quiet) })
	return n
}

// InHand returns how many requests the server has of its clients, streams and tunnels included, and how many connections, idle ones
// included.
func (s *Server) InHand() (requests, connections int) {
	connections, _ = s.places.Count(netip.Addr{})
	return int(s.metrics.inFlight.Load()), connections
}

func (s *Server) eachHTTP3(do func(*listener)) {
	s.front.mu.Lock()
	defer s.front.mu.Unlock()
	for _, l := range s.front.listeners {
		if l.http3 != nil {
			do(l)
		}
	}
}
