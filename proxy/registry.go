// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"sync"
	"sync/atomic"

	"meridian/topology"
)

// registry knows the relays that are out at nodes, so that they can be cut: a relay waits in a read of a socket and can't wait
// for its lease's channel besides, unless it had a goroutine for that. To cut is rare and goes through all of them; to be
// known costs each request a few stores.
type registry struct {
	shards [64]registryShard
}

// registryShard holds those relays that were made for it, in a list linked through themselves.
type registryShard struct {
	mu   sync.Mutex // a lock on a request's way: held for a few stores, twice a request
	head *relay
}

// relaysMade gives each relay that is made its shard. A relay is used again by the processor that used it last, so two
// processors seldom meet at a lock.
var relaysMade atomic.Uint32

// add takes r in, whose node is set and stays so until remove.
func (g *registry) add(r *relay) {
	s := &g.shards[r.shard%uint32(len(g.shards))]
	s.mu.Lock()
	defer s.mu.Unlock()
	r.prev, r.next = nil, s.head
	if r.next != nil {
		r.next.prev = r
	}
	s.head = r
}

func (g *registry) remove(r *relay) {
	s := &g.shards[r.shard%uint32(len(g.shards))]
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.next != nil {
		r.next.prev = r.prev
	}
	if r.prev != nil {
		r.prev.next = r.next
	} else {
		s.head = r.next
	}
	r.prev, r.next = nil, nil
}

// cut cuts the relays that are out at the node and returns how many those were.
func (s *registryShard) cut(id topology.NodeID) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for r := s.head; r != nil; r = r.next {
		if r.node.Name == id && r.cut() {
			n++
		}
	}
	return n
}

// cutAll cuts all relays that are out at a node and returns how many those were.
func (s *registryShard) cutAll() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for r := s.head; r != nil; r = r.next {
		if r.cut() {
			n++
		}
	}
	return n
}

// CutNode aborts every request and stream that is out at the node and returns how many. It does not keep new ones away:
// balancer.Table.Cut must have been called before. Safe for concurrent use.
func (s *Server) CutNode(id topology.NodeID) int {
	n := 0
	for i := range s.relays.shards {
		n += s.relays.shards[i].cut(id)
	}
	s.metrics.nodeCut.Add(n)
	return n
}
