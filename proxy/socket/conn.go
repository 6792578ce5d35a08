// SPDX-License-Identifier: Apache-2.0

package socket

import "net"

// Conn is a TCP connection whose reads and writes are a Socket's, for those who want a net.Conn: TLS, HTTP/2.
type Conn struct {
	*net.TCPConn
	s Socket
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
func (c *Conn) Read(p []byte) (int, error) { return c.s.Read(p) }

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
