// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net"
	"sync"
	"time"
)

// door is a node's listener, which can be closed and opened again, and knows the connections that came through it.
type door struct {
	addr string
	shut chan struct{} // closed by Close

	mu    sync.Mutex // guards the fields below
	ln    net.Listener
	back  chan struct{} // closed when ln is there again
	conns map[net.Conn]struct{}
	reset bool
	ended bool
}

func newDoor(addr string) *door {
	return &door{addr: addr, shut: make(chan struct{}), back: make(chan struct{}), conns: map[net.Conn]struct{}{}}
}

// open listens. An address that was in use a moment ago may be so for a moment longer.
func (d *door) open() error {
	var err error
	for range 50 {
		var ln net.Listener
		if ln, err = net.Listen("tcp", d.addr); err == nil {
			d.mu.Lock()
			d.ln, d.addr = ln, ln.Addr().String()
			close(d.back)
			d.mu.Unlock()
			return nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	return fmt.Errorf("listen at %s: %w", d.addr, err)
}

// be does what a conduct says of connections.
func (d *door) be(c *conduct) error {
	d.mu.Lock()
	d.reset = c.Reset
	if c.Reset || c.Refuse {
		for nc := range d.conns {
			abort(nc)
		}
	}
	closed := d.ln == nil
	if c.Refuse && !closed {
		d.ln.Close()
		d.ln, d.back = nil, make(chan struct{})
	}
	d.mu.Unlock()
	if !c.Refuse && closed {
		return d.open()
	}
	return nil
}

// abort closes a connection by a reset.
func abort(nc net.Conn) {
	if t, ok := nc.(*net.TCPConn); ok {
		t.SetLinger(0)
	}
	nc.Close()
}

// Accept implements net.Listener, over all times that the door is open.
func (d *door) Accept() (net.Conn, error) {
	for {
		d.mu.Lock()
		ln, back, ended := d.ln, d.back, d.ended
		d.mu.Unlock()
		if ended {
			return nil, net.ErrClosed
		}
		if ln == nil {
			select {
			case <-back:
			case <-d.shut:
			}
			continue
		}
		nc, err := ln.Accept()
		if err != nil {
			if d.isAt(ln) {
				return nil, err
			}
			continue
		}
		if c := d.enter(nc); c != nil {
			return c, nil
		}
	}
}

// isAt reports whether ln is still what the door listens with.
func (d *door) isAt(ln net.Listener) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.ln == ln
}

// enter takes a connection in, or resets it and returns nil.
func (d *door) enter(nc net.Conn) net.Conn {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.reset {
		abort(nc)
		return nil
	}
	d.conns[nc] = struct{}{}
	return &guest{Conn: nc, door: d}
}

// guest is a connection that leaves the door's book when it is closed.
type guest struct {
	net.Conn
	door   *door
	unused *time.Timer // closes it; touched by the connection's goroutine only
}

func (g *guest) Close() error {
	g.door.mu.Lock()
	delete(g.door.conns, g.Conn)
	g.door.mu.Unlock()
	return g.Conn.Close()
}

// Close implements net.Listener.
func (d *door) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ended {
		return nil
	}
	d.ended = true
	close(d.shut)
	if d.ln == nil {
		return nil
	}
	return d.ln.Close()
}

// Addr implements net.Listener.
func (d *door) Addr() net.Addr { a, _ := net.ResolveTCPAddr("tcp", d.addr); return a }
