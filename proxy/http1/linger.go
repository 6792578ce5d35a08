// SPDX-License-Identifier: Apache-2.0

package http1

import (
	"net"
	"time"
)

// Bounds of a lingering close. Ours.
const (
	lingerTime  = time.Second
	lingerBytes = 256 << 10
)

// linger waits, within bounds, for the client to close: closing while its bytes come in would make the kernel send a
// reset, which can overtake the answer (RFC 9112, section 9.6).
func (c *conn) linger() {
	tcp, ok := c.nc.(interface{ CloseWrite() error })
	if !ok || tcp.CloseWrite() != nil {
		return
	}
	c.readBy(time.Now().Add(lingerTime))
	for n := len(c.r.Buffered()); n < lingerBytes; {
		c.r.Discard(len(c.r.Buffered()))
		if c.r.Fill() != nil {
			return
		}
		n += len(c.r.Buffered())
	}
}

// cut closes the connection at once. With reset the client sees an error where a plain close would look like the end of
// an answer.
func (c *conn) cut(reset bool) {
	if tcp, ok := kernelConn(c.nc).(*net.TCPConn); ok && reset {
		tcp.SetLinger(0)
		tcp.Close() // below TLS, which would say that this is the end
	}
	c.nc.Close()
}
