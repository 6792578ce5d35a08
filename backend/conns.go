// SPDX-License-Identifier: Apache-2.0

package backend

import (
	"net"
	"net/http"
	"sync/atomic"
)

// conns counts the open TCP connections and closes what is above the bound. Closing is meant: an answer would need a
// place of its own, and an edge treats a closed connection as "nothing was sent" and goes to another node.
type conns struct {
	max  int64 // set once
	open atomic.Int64
}

// state is an http.Server's ConnState.
func (c *conns) state(conn net.Conn, s http.ConnState) {
	switch s {
	case http.StateNew:
		if c.open.Add(1) > c.max {
			conn.Close()
		}
	case http.StateClosed, http.StateHijacked:
		c.open.Add(-1)
	}
}

func (c *conns) count() int { return int(c.open.Load()) }
