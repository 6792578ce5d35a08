// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"hash/maphash"
	"sync"

	"meridian/topology"
)

// registry knows the relays that are out at each node, so that they can be cut: a relay waits in a read of a socket and
// can't wait for its lease's channel besides, unless it had a goroutine for that.
type registry struct {
	seed   maphash.Seed
	shards [64]registryShard
}

// registryShard holds the relays of some nodes, each list linked through the relays themselves.
type registryShard struct {
	mu    sync.Mutex // a lock on a request's way: held for a few stores, twice a request
	heads map[topology.NodeID]*relay
}

func (g *registry) init() {
	g.seed = maphash.MakeSeed()
	for i := range g.shards {
		g.shards[i].heads = map[topology.NodeID]*relay{}
	}
}

func (g *registry) shard(id topology.NodeID) *registryShard {
	return &g.shards[maphash.String(g.seed, string(id))%uint64(len(g.shards))]
}

func (g *registry) add(id topology.NodeID, r *relay) {
	s := g.shard(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	r.prev, r.next = nil, s.heads[id]
	if r.next != nil {
		r.next.prev = r
	}
	s.heads[id] = r
}

func (g *registry) remove(id topology.NodeID, r *relay) {
	s := g.shard(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.next != nil {
		r.next.prev = r.prev
	}
	switch {
	case r.prev != nil:
		r.prev.next = r.next
	case r.next != nil:
		s.heads[id] = r.next
	default:
		delete(s.heads, id)
	}
	r.prev, r.next = nil, nil
}

// CutNode aborts every request and stream that is out at the node and returns how many. It does not keep new ones away:
// balancer.Table.Cut must have been called before. Safe for concurrent use.
func (s *Server) CutNode(id topology.NodeID) int {
	n := 0
	sh := s.relays.shard(id)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	for r := sh.heads[id]; r != nil; r = r.next {
		if r.cut() {
			n++
		}
	}
	s.metrics.nodeCut.Add(n)
	return n
}
