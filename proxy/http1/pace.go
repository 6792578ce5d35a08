// SPDX-License-Identifier: Apache-2.0

package http1

import (
	"errors"
	"os"
	"time"

	"meridian/proxy/exchange"
)

// paceBody begins the watch over a request's body.
func (c *conn) paceBody() {
	if c.bodiless() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.s.config()
	c.pace.Reset(p.MinBodyRate, p.BodyWindow)
	c.answering = false
}

// bodiless reports whether the request has no body, by its head.
func (c *conn) bodiless() bool { return c.head.Length == 0 || c.head.Length == exchange.LengthNone }

// awaitBody sets the time by which more of the body must come.
func (c *conn) awaitBody() {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	by := c.pace.Wait(now, c.idle)
	if c.answering {
		by = now.Add(c.idle)
	}
	c.readBy(by)
}

// easeBody drops the demand on the body's rate once the answer begins: from then on both may be a conversation, in which
// silence is nobody's fault. A read that waits already gets more time.
func (c *conn) easeBody() {
	if c.bodiless() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answering = true
	if c.pace.Waiting() && !c.stopped.Load() {
		c.readBy(time.Now().Add(c.idle))
		if c.stopped.Load() { // Stop came in between: its deadline must hold
			c.readBy(past)
		}
	}
	c.pace.Reset(0, 0)
}

// paced notes what a read of the body has brought, and says what is wrong if it took too long.
func (c *conn) paced(n int, err error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pace.Waiting() {
		c.pace.Got(n, time.Now())
	}
	if errors.Is(err, os.ErrDeadlineExceeded) && c.pace.TooSlow() && !c.stopped.Load() {
		p := c.s.config()
		return refuse(408, "the request's body came with less than %d bytes per second over %s", p.MinBodyRate, p.BodyWindow)
	}
	return err
}
