// SPDX-License-Identifier: Apache-2.0

package socket

import (
	"net"
	"os"
)

// Conn is a TCP connection whose reads and writes are a Socket's, for those who want a net.Conn: TLS, HTTP/2.
type Conn struct {
	*net.TCPConn
	s   Socket
	now bool // Read does not wait: set by the goroutine that reads, for a read of what is above
}

// Wrap returns nc as a Conn where that is of use, else nc itself.
func Wrap(nc net.Conn) net.Conn {
	tcp, ok := nc.(*net.TCPConn)
	if !ok || !haveRaw {
		return nc
	}
	c := &Conn{TCPConn: tcp}
	c.s.Reset(tcp)
	return c
}

// Read implements net.Conn.
func (c *Conn) Read(p []byte) (int, error) {
	if !c.now {
		return c.s.Read(p)
	}
	n, err := c.s.ReadNow(p)
	if n == 0 && err == nil {
		err = os.ErrDeadlineExceeded // TLS can be read again after this one
	}
	return n, err
}

// Write implements net.Conn.
func (c *Conn) Write(p []byte) (int, error) { return c.s.Write(p) }

// NetConn returns the connection itself, as that of a tls.Conn does.
func (c *Conn) NetConn() net.Conn { return c.TCPConn }

// Kernel returns the connection at the bottom of nc: below TLS and Conn. Its bytes may not be those that nc carries.
func Kernel(nc net.Conn) net.Conn {
	for {
		upper, ok := nc.(interface{ NetConn() net.Conn })
		if !ok {
			return nc
		}
		nc = upper.NetConn()
	}
}

// wrapped returns the Conn that nc is, or has below it; else nil.
func wrapped(nc net.Conn) *Conn {
	for {
		if c, ok := nc.(*Conn); ok {
			return c
		}
		upper, ok := nc.(interface{ NetConn() net.Conn })
		if !ok {
			return nil
		}
		nc = upper.NetConn()
	}
}
