// SPDX-License-Identifier: Apache-2.0

package h2

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"
)

// dial is a connection that is being made for all requests to a node that come meanwhile. It is given up when none of them
// waits for it any more.
type dial struct {
	addr string
	done chan struct{} // closed when it has ended
	stop context.CancelFunc

	// Guarded by the pool's mu.
	waiting int
	call    *Call // the place that was reserved on the new connection, until one of them takes it
	err     error
}

// Get returns a place on a connection to addr (IP:PORT), the first that has one, or on a new one. Requests that come while a
// connection is being made wait for that. It gives up when ctx ends, and after the time.
func (p *Pool) Get(ctx context.Context, addr string, timeout time.Duration) (*Call, error) {
	until := time.Now().Add(timeout)
	for {
		call, d, err := p.join(addr, timeout)
		if call != nil || err != nil {
			return call, err
		}
		if call, err = p.wait(ctx, d, timeout); call != nil {
			return call, nil
		}
		late := net.Error(nil)
		timeout = time.Until(until)
		if err != nil && (!errors.As(err, &late) || !late.Timeout() || timeout <= 0) { // it may have been another one's time
			return nil, err
		}
		if timeout <= 0 {
			return nil, fmt.Errorf("connect to a node: %w", errDialTimeout)
		}
	}
}

// join returns a place that is there, or the dial to wait for, which counts the caller from then on.
func (p *Pool) join(addr string, timeout time.Duration) (*Call, *dial, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if call := p.keptLocked(addr); call != nil {
		return call, nil, nil
	}
	if p.closed {
		return nil, nil, fmt.Errorf("connect to a node by HTTP/2: %w", errNoPlace)
	}
	n := p.node(addr)
	if n.dialing == nil {
		ctx, stop := context.WithCancel(context.Background())
		d := &dial{addr: addr, done: make(chan struct{}), stop: stop}
		n.dialing = d
		p.wg.Go(func() { p.run(ctx, d, timeout) })
	}
	n.dialing.waiting++
	return nil, n.dialing, nil
}

// run makes the connection.
func (p *Pool) run(ctx context.Context, d *dial, timeout time.Duration) {
	defer d.stop()
	call, err := p.Dial(ctx, d.addr, timeout)
	p.mu.Lock()
	defer p.mu.Unlock()
	d.call, d.err = call, err
	if d.waiting == 0 {
		d.giveBack()
	}
	p.endDial(d)
	close(d.done)
}

// endDial has the next request begin another dial. mu is held.
func (p *Pool) endDial(d *dial) {
	n := p.nodes[d.addr]
	if n == nil || n.dialing != d {
		return
	}
	n.dialing = nil
	if len(n.conns) == 0 {
		delete(p.nodes, d.addr)
	}
}

// giveBack gives back the place that nobody has taken. The pool's mu is held.
func (d *dial) giveBack() {
	if d.call != nil {
		d.call.Close()
		d.call = nil
	}
}

// wait returns the place on the new connection, if no other request has taken it; then there may be more to be had.
func (p *Pool) wait(ctx context.Context, d *dial, timeout time.Duration) (*Call, error) {
	late := time.NewTimer(timeout)
	defer late.Stop()
	var err error
	select {
	case <-d.done:
	case <-late.C:
		err = errDialTimeout
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	d.waiting--
	switch {
	case err != nil:
		err = fmt.Errorf("connect to a node: %w", err)
	case d.err != nil:
		err = d.err
	case d.call != nil:
		call := d.call
		d.call = nil
		return call, nil
	}
	if d.waiting == 0 {
		d.giveBack()
		d.stop()
		p.endDial(d)
	}
	return nil, err
}
