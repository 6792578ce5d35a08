// SPDX-License-Identifier: Apache-2.0

package http1

import (
	"bytes"
	"crypto/tls"
	"net"
	"net/netip"
	"time"
)

// secure is what TLS adds to a connection.
type secure struct {
	scheme     string // "http" or "https"
	serverName string
}

// Handover is a connection that speaks HTTP/2.
type Handover struct {
	// Conn is the connection, Read what was read from it already. Deadlines may be set on it.
	Conn net.Conn
	Read []byte
	// Client is the peer.
	Client netip.AddrPort
	// Scheme is "https" if the connection has TLS, else "http". ServerName is what its handshake named.
	Scheme, ServerName string
}

// ServeTLS is Serve for connections that begin with a TLS handshake. conf must not be changed; it may offer "h2" only if
// Config.HTTP2 is set.
func (s *Server) ServeTLS(ln net.Listener, conf *tls.Config) error {
	return s.Serve(&tlsListener{ln, conf})
}

// tlsListener makes the connections TLS's, without a handshake yet: that is the work of the connection's goroutine.
type tlsListener struct {
	net.Listener
	conf *tls.Config
}

func (l *tlsListener) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return tls.Server(nc, l.conf), nil
}

// shake makes the TLS handshake where there is one to make. It reports whether HTTP/1 is to be spoken; if not, the
// connection has ended.
func (c *conn) shake() bool {
	t, ok := c.nc.(*tls.Conn)
	if !ok {
		return true
	}
	t.SetDeadline(time.Now().Add(c.s.cfg.HandshakeTimeout))
	if err := t.Handshake(); err != nil {
		kernelConn(t).Close() // the alert that says why is on its way
		return false
	}
	t.SetDeadline(time.Time{})
	st := t.ConnectionState()
	c.secure = secure{"https", st.ServerName}
	if st.NegotiatedProtocol == "h2" {
		c.toHTTP2(nil)
		return false
	}
	return true
}

// toHTTP2 has the connection served as HTTP/2 until it ends.
func (c *conn) toHTTP2(read []byte) {
	c.s.cfg.HTTP2(Handover{Conn: c.nc, Read: read, Client: c.client, Scheme: c.secure.scheme, ServerName: c.secure.serverName})
}

// preface is what a client of HTTP/2 sends first: RFC 9113, section 3.4. No method of HTTP/1 that is forwarded begins so.
var preface = []byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")

// handOver looks at the first bytes of a connection without TLS and has it served as HTTP/2 if they are that one's
// preface. It reports whether it was. On TLS the handshake chooses.
func (c *conn) handOver() bool {
	if c.s.cfg.HTTP2 == nil || c.secure.scheme != "http" {
		return false
	}
	timed := false
	for {
		b := c.r.Buffered()
		if !bytes.HasPrefix(b, preface) && (len(b) >= len(preface) || !bytes.HasPrefix(preface, b)) {
			return false
		}
		if len(b) >= len(preface) {
			break
		}
		if !timed {
			timed = true
			c.nc.SetReadDeadline(time.Now().Add(c.s.cfg.HeadTimeout))
		}
		if c.r.Fill() != nil {
			return false // reading the request's head sees the same
		}
	}
	read := bytes.Clone(c.r.Buffered())
	c.r.Release()
	c.nc.SetReadDeadline(time.Time{})
	c.toHTTP2(read)
	return true
}

// kernelConn returns the connection below TLS.
func kernelConn(nc net.Conn) net.Conn {
	if t, ok := nc.(*tls.Conn); ok {
		return t.NetConn()
	}
	return nc
}
