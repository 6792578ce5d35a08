// SPDX-License-Identifier: Apache-2.0

package http1

import (
	"crypto/tls"
	"net"
	"net/netip"
	"os"
	"time"

	"meridian/proxy/turns"
)

// turning is what TLS reads and writes. While there is a handshake, its goroutine has one of a few places whenever it computes:
// from when something has come from the client until it sends, or waits for more. Afterwards it is only passed through.
type turning struct {
	net.Conn
	turn *turn // nil but in a handshake
}

// turn is a handshake's.
type turn struct {
	places   *turns.Turns
	client   netip.Addr
	deadline time.Time
	has      bool
}

// inTurn makes c's handshake in turns with others, until deadline.
func inTurn(c *tls.Conn, places *turns.Turns, client netip.Addr, deadline time.Time) error {
	below, ok := c.NetConn().(*turning)
	if !ok {
		return c.Handshake()
	}
	t := &turn{places: places, client: client, deadline: deadline}
	below.turn = t
	defer func() {
		t.leave()
		below.turn = nil
	}()
	return c.Handshake()
}

// enter waits for the turn.
func (t *turn) enter() bool {
	if !t.has {
		t.has = t.places.Enter(t.client, t.deadline)
	}
	return t.has
}

func (t *turn) leave() {
	if t.has {
		t.has = false
		t.places.Leave()
	}
}

// NetConn returns the connection below, as that of a tls.Conn does.
func (c *turning) NetConn() net.Conn { return c.Conn }

// Read implements net.Conn.
func (c *turning) Read(b []byte) (int, error) {
	t := c.turn
	if t == nil {
		return c.Conn.Read(b)
	}
	t.leave()
	n, err := c.Conn.Read(b)
	if n > 0 && !t.enter() {
		return 0, os.ErrDeadlineExceeded
	}
	return n, err
}

// Write implements net.Conn.
func (c *turning) Write(b []byte) (int, error) {
	if t := c.turn; t != nil {
		t.leave() // what is sent is the end of the work, and the client may be slow to take it
	}
	return c.Conn.Write(b)
}
