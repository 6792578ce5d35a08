// SPDX-License-Identifier: Apache-2.0

// Package h2 speaks HTTP/2 in clear text with prior knowledge (RFC 9113, section 3.3) to nodes: several requests at a time
// on each connection, and more connections where those are full.
//
// It leaves the choice of the node and every retry to package proxy, which it tells by ErrUnprocessed that a node has not
// acted on a request. Pool.Run owns the goroutine that looks after idle and silent connections; each connection has two,
// which end with it, and Pool.Run waits for them.
//
//	p := h2.NewPool(h2.Config{})
//	go p.Run(ctx)
//	c, err := p.Get(ctx, "10.0.0.7:8080", time.Second)
//	c.Begin(time.Minute, false)
//	n, err := c.Send(&upstream.Request{…}, nil, time.Minute)
//	resp, started, err := c.ReadHead(http1.Sent{Method: "GET"}, time.Minute)
package h2

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"meridian/proxy/http1"
	"meridian/proxy/socket"
)

// Config is what a Pool needs. Its zero value works.
type Config struct {
	// IdleTimeout is how long a connection without a request is kept where Release doesn't say. Zero: 4s.
	IdleTimeout time.Duration
	// Streams bounds the requests at a time on one connection, besides what the node says. Zero: 100.
	Streams int
	// PingAfter is the silence of a node with requests under way after which it is sent a PING; twice that ends the
	// connection. Zero: 5s.
	PingAfter time.Duration
	// Limits bound the head of an answer.
	Limits http1.Limits
}

func (c Config) withDefaults() Config {
	if c.IdleTimeout <= 0 {
		c.IdleTimeout = 4 * time.Second
	}
	if c.Streams <= 0 {
		c.Streams = 100
	}
	if c.PingAfter <= 0 {
		c.PingAfter = 5 * time.Second
	}
	c.Limits = c.Limits.WithDefaults()
	return c
}

// Stats counts what a pool has done.
type Stats struct {
	Dialed, Failed uint64 // connections made, and attempts that failed
	Reused         uint64 // requests on a connection that was there
	Open           int    // connections now
}

// Pool holds the connections to all nodes. Safe for concurrent use.
type Pool struct {
	cfg    Config
	limits atomic.Pointer[http1.Limits] // of the heads of answers; SetLimits replaces them
	wg     sync.WaitGroup               // of the connections' goroutines

	dialed, failed, reused atomic.Uint64

	mu     sync.Mutex // guards the fields below; on a request's way, held for one look-up
	nodes  map[string]*node
	closed bool
}

// node is what is known of one address.
type node struct {
	conns   []*conn
	dialing *dial // that is under way; nil: none is
}

// NewPool returns an empty pool.
func NewPool(c Config) *Pool {
	p := &Pool{cfg: c.withDefaults(), nodes: map[string]*node{}}
	p.SetLimits(c.Limits)
	return p
}

// SetLimits puts other limits of the heads of answers in force. What a node was told of them when its connection was made
// stays.
func (p *Pool) SetLimits(l http1.Limits) {
	l = l.WithDefaults()
	p.limits.Store(&l)
}

// Run looks after the connections until ctx ends, and then closes them.
func (p *Pool) Run(ctx context.Context) error {
	tick := time.NewTicker(min(p.cfg.IdleTimeout, p.cfg.PingAfter) / 4)
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			for _, c := range p.all(false) {
				c.look(now)
			}
		case <-ctx.Done():
			for _, c := range p.all(true) {
				c.fail(errPoolClosed)
			}
			p.wg.Wait()
			return ctx.Err()
		}
	}
}

// all returns the connections; with last, no other is made any more.
func (p *Pool) all(last bool) (out []*conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = p.closed || last
	for _, n := range p.nodes {
		out = append(out, n.conns...)
		if last && n.dialing != nil {
			n.dialing.stop()
		}
	}
	return out
}

// Stats returns the counts.
func (p *Pool) Stats() Stats {
	return Stats{p.dialed.Load(), p.failed.Load(), p.reused.Load(), len(p.all(false))}
}

// Kept returns a place for a request on a connection to addr (IP:PORT) that is there, the first that has one, or nil.
func (p *Pool) Kept(addr string) *Call {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.keptLocked(addr)
}

func (p *Pool) keptLocked(addr string) *Call {
	n := p.nodes[addr]
	if n == nil {
		return nil
	}
	for _, c := range n.conns {
		if call := c.reserve(); call != nil {
			p.reused.Add(1)
			call.reused = true
			return call
		}
	}
	return nil
}

// Dial returns a place on a new connection. It gives up when ctx ends, and after the time.
func (p *Pool) Dial(ctx context.Context, addr string, timeout time.Duration) (*Call, error) {
	until := time.Now().Add(timeout)
	d := net.Dialer{Timeout: timeout}
	nc, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		p.failed.Add(1)
		return nil, fmt.Errorf("connect to a node: %w", err)
	}
	c := newConn(p, addr, socket.Wrap(nc))
	unhurried := context.AfterFunc(ctx, func() { nc.Close() })
	err = c.greet(until)
	if !unhurried() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		p.failed.Add(1)
		nc.Close()
		return nil, fmt.Errorf("connect to a node by HTTP/2: %w", err)
	}
	call := c.reserve()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || call == nil {
		nc.Close()
		p.failed.Add(1)
		return nil, fmt.Errorf("connect to a node by HTTP/2: %w", errNoPlace)
	}
	n := p.node(addr)
	n.conns = append(n.conns, c)
	p.dialed.Add(1)
	p.wg.Go(c.readLoop)
	p.wg.Go(c.controlLoop)
	return call, nil
}

// node returns what is known of addr, from now on something. mu is held.
func (p *Pool) node(addr string) *node {
	n := p.nodes[addr]
	if n == nil {
		n = &node{}
		p.nodes[addr] = n
	}
	return n
}

// forget takes a connection that has ended out.
func (p *Pool) forget(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.nodes[c.addr]
	if n == nil {
		return
	}
	for i := range n.conns {
		if n.conns[i] == c {
			n.conns = append(n.conns[:i:i], n.conns[i+1:]...)
			break
		}
	}
	if len(n.conns) == 0 && n.dialing == nil {
		delete(p.nodes, c.addr)
	}
}
