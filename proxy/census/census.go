// SPDX-License-Identifier: Apache-2.0

// Package census counts the clients' connections over all engines and listeners, in all and by client address, so that one
// bound holds for a client however it connects.
//
// An IPv6 client counts by the first 64 bits of its address, which is what one subscriber is given: by whole addresses he
// would have 2^64 times the bound. It leaves to the engines what a client that has no place is told. It starts nothing; its
// memory is one entry for each address that has a connection.
//
//	places := census.New()
//	if !places.Enter(client, 16384, 4096) { … } // refuse
//	defer places.Leave(client)
package census

import (
	"hash/maphash"
	"net/netip"
	"sync"
	"sync/atomic"
)

// Census counts connections. Its methods are safe for concurrent use.
type Census struct {
	all    atomic.Int64
	seed   maphash.Seed
	shards [64]shard
}

// shard counts the connections of some addresses. Its lock is held for one look-up, twice in a connection's life.
type shard struct {
	mu   sync.Mutex
	from map[netip.Addr]int
}

// New returns a census of nobody.
func New() *Census {
	c := &Census{seed: maphash.MakeSeed()}
	for i := range c.shards {
		c.shards[i].from = map[netip.Addr]int{}
	}
	return c
}

// Enter counts a connection and reports whether there was a place for it: fewer than most in all, and fewer than mostFrom
// of its client. After true, Leave must be called once.
func (c *Census) Enter(client netip.Addr, most, mostFrom int) bool {
	if c.all.Add(1) > int64(most) {
		c.all.Add(-1)
		return false
	}
	client = Subscriber(client)
	s := c.shard(client)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.from[client] >= mostFrom {
		c.all.Add(-1)
		return false
	}
	s.from[client]++
	return true
}

// Leave gives a connection's place back.
func (c *Census) Leave(client netip.Addr) {
	client = Subscriber(client)
	s := c.shard(client)
	s.mu.Lock()
	defer s.mu.Unlock()
	c.all.Add(-1)
	if s.from[client]--; s.from[client] <= 0 {
		delete(s.from, client)
	}
}

// Count returns how many connections there are, and how many of a client.
func (c *Census) Count(client netip.Addr) (all, from int) {
	client = Subscriber(client)
	s := c.shard(client)
	s.mu.Lock()
	defer s.mu.Unlock()
	return int(c.all.Load()), s.from[client]
}

func (c *Census) shard(a netip.Addr) *shard {
	return &c.shards[maphash.Comparable(c.seed, a)%uint64(len(c.shards))]
}

// Subscriber returns what an address counts as: an IPv4 address itself, of an IPv6 address the first 64 bits. A zone tells
// interfaces of this machine apart, not clients.
func Subscriber(a netip.Addr) netip.Addr {
	a = a.Unmap()
	if !a.Is6() {
		return a
	}
	p, err := a.WithZone("").Prefix(64)
	if err != nil {
		return a // invariant: 64 bits are in every IPv6 address
	}
	return p.Addr()
}
