// SPDX-License-Identifier: Apache-2.0

// Package upstream holds the connections to nodes: it dials them, keeps those that can be used again and finds a stale
// one right before a request would be sent on it.
//
// It leaves the choice of the node and every retry to package proxy. Pool.Run owns the one goroutine, which closes
// connections that have been idle for too long.
//
//	p := upstream.NewPool(upstream.Config{})
//	go p.Run(ctx)
//	c, err := p.Get(ctx, "10.0.0.7:8080", time.Second)
//	c.Begin(time.Minute, false)
//	c.Send(&request, &scratch, time.Minute)
//	resp, started, err := c.ReadHead(http1.Sent{Method: "GET"}, time.Minute)
package upstream

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"meridian/proxy/http1"
)

// Config is what a Pool needs. Its zero value works.
type Config struct {
	// IdleTimeout is how long a connection is kept unused where its Release doesn't say. Zero: 4s, below the 5s after which common servers close theirs:
	// a request that crosses with such a close may be lost. Longer saves dials.
	IdleTimeout time.Duration
	// MaxIdle bounds the unused connections kept to one node. Zero: 512. Above it they are closed.
	MaxIdle int
	// Limits bound the head of an answer.
	Limits http1.Limits
}

// Stats counts what a pool has done.
type Stats struct {
	Dialed, Failed uint64 // connections made, and attempts that failed
	Reused, Stale  uint64 // connections taken to be used again, and those found to be old, closed or dirty then
	Idle           int    // kept now
}

// Pool keeps the connections to all nodes. Safe for concurrent use.
type Pool struct {
	cfg    Config
	limits atomic.Pointer[http1.Limits] // of the heads of answers; SetLimits replaces them
	seed   maphash.Seed
	shards [64]shard // so that requests to different nodes seldom meet at a lock

	dialed, failed, reused, stale atomic.Uint64
}

// shard holds the unused connections of some nodes.
type shard struct {
	mu     sync.Mutex // a lock on a request's way: held for one look-up and one pop; a lock-free stack would have to beat 20 ns
	nodes  map[string][]*Conn
	closed bool
}

// NewPool returns an empty pool.
func NewPool(c Config) *Pool {
	if c.IdleTimeout <= 0 {
		c.IdleTimeout = 4 * time.Second
	}
	if c.MaxIdle <= 0 {
		c.MaxIdle = 512
	}
	p := &Pool{cfg: c, seed: maphash.MakeSeed()}
	p.SetLimits(c.Limits)
	for i := range p.shards {
		p.shards[i].nodes = map[string][]*Conn{}
	}
	return p
}

// Run closes connections that have been idle for too long, and all that are unused when ctx ends. Connections that are
// given back afterwards are closed.
func (p *Pool) Run(ctx context.Context) error {
	tick := time.NewTicker(p.cfg.IdleTimeout / 4)
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			p.expire(now, false)
		case <-ctx.Done():
			p.expire(time.Time{}, true)
			return ctx.Err()
		}
	}
}

// SetLimits changes the bounds of the heads of answers, for connections that are made from now on.
func (p *Pool) SetLimits(l http1.Limits) {
	l = l.WithDefaults()
	p.limits.Store(&l)
}

// Stats returns the counts.
func (p *Pool) Stats() Stats {
	st := Stats{Dialed: p.dialed.Load(), Failed: p.failed.Load(), Reused: p.reused.Load(), Stale: p.stale.Load()}
	for i := range p.shards {
		s := &p.shards[i]
		s.mu.Lock()
		for _, idle := range s.nodes {
			st.Idle += len(idle)
		}
		s.mu.Unlock()
	}
	return st
}

// Kept returns an unused connection to addr (IP:PORT): the one that was used last, since the others can then grow old. It returns nil if
// there is none. Whether the node has closed it meanwhile is found by its Send.
func (p *Pool) Kept(addr string) *Conn {
	s := p.shard(addr)
	for {
		c := s.pop(addr)
		if c == nil {
			return nil
		}
		if now := time.Now(); now.Before(c.until) {
			p.reused.Add(1)
			c.reused, c.taken = true, now
			return c
		}
		p.stale.Add(1)
		c.Close()
	}
}

// Get returns a connection that is kept, or a new one.
func (p *Pool) Get(ctx context.Context, addr string, timeout time.Duration) (*Conn, error) {
	if c := p.Kept(addr); c != nil {
		return c, nil
	}
	return p.Dial(ctx, addr, timeout)
}

// Dial returns a new connection. It gives up when ctx ends, and after the time.
func (p *Pool) Dial(ctx context.Context, addr string, timeout time.Duration) (*Conn, error) {
	d := net.Dialer{Timeout: timeout}
	nc, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		p.failed.Add(1)
		return nil, fmt.Errorf("connect to a node: %w", err)
	}
	p.dialed.Add(1)
	return newConn(p, addr, nc), nil
}

// Local reports whether a failed dial is this machine's fault, as when it has no more file descriptors or ports. It says
// nothing about the node then.
func Local(err error) bool {
	for _, e := range []error{syscall.EMFILE, syscall.ENFILE, syscall.EADDRNOTAVAIL, syscall.ENOBUFS, syscall.ENOMEM} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

func (p *Pool) shard(addr string) *shard {
	return &p.shards[maphash.String(p.seed, addr)%uint64(len(p.shards))]
}

func (s *shard) pop(addr string) *Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	idle := s.nodes[addr]
	if len(idle) == 0 {
		return nil
	}
	c := idle[len(idle)-1]
	idle[len(idle)-1] = nil
	s.nodes[addr] = idle[:len(idle)-1]
	return c
}

// put keeps a connection, or reports that there is no room for it.
func (p *Pool) put(c *Conn) bool {
	s := p.shard(c.addr)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || len(s.nodes[c.addr]) >= p.cfg.MaxIdle {
		return false
	}
	s.nodes[c.addr] = append(s.nodes[c.addr], c)
	return true
}

// expire closes what has been idle for too long by now, or everything for good.
func (p *Pool) expire(now time.Time, all bool) {
	for i := range p.shards {
		for _, c := range p.shards[i].expire(now, all) {
			c.Close()
		}
	}
}

// expire takes out the expired connections. A node without connections is forgotten.
func (s *shard) expire(now time.Time, all bool) (out []*Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = s.closed || all
	for addr, idle := range s.nodes {
		var kept []*Conn // a new slice: one that was long for a moment is not kept long
		for _, c := range idle {
			if all || !now.Before(c.until) {
				out = append(out, c)
			} else {
				kept = append(kept, c)
			}
		}
		if len(kept) == 0 {
			delete(s.nodes, addr)
		} else if len(kept) < len(idle) {
			s.nodes[addr] = kept
		}
	}
	return out
}
