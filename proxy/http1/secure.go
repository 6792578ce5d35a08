// SPDX-License-Identifier: Apache-2.0

package http1

import (
	"bytes"
	"crypto/tls"
	"net"
	"net/netip"
	"time"

	"meridian/proxy/socket"
)

// secure is what TLS adds to a connection.
type secure struct {
	shaken     bool // the handshake has been made
	serverName string
}

func (p *peer) scheme() string {
	if p.tls != nil {
		return "https"
	}
	return "http"
}

// Handover is a connection that speaks HTTP/2.
type Handover struct {
	// Conn is the connection, Read what was read from it already. Deadlines may be set on it.
	Conn net.Conn
	Read []byte
	// Client is the peer.
	Client netip.AddrPort
	// Listener is the address that it was accepted on, as it was bound.
	Listener netip.AddrPort
	// Scheme is "https" if the connection has TLS, else "http". ServerName is what its handshake named.
	Scheme, ServerName string
	// OnLeave takes what is to be called when the connection is to end, for the server's or its listener's end: once nothing
	// has come from the client for quiet. It may be called at once, and more than once.
	OnLeave func(func(quiet time.Duration))
}

// ServeTLS is Serve for connections that begin with a TLS handshake. conf must not be changed; it may offer "h2" only after
// OnHTTP2.
func (s *Server) ServeTLS(ln net.Listener, conf *tls.Config) error {
	return s.serve(&tlsListener{ln, conf}, s.feedOf(ln))
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
	return tls.Server(&turning{Conn: socket.Wrap(nc)}, l.conf), nil
}

// shake makes the TLS handshake where there is one to make. It says what is next: arrived for HTTP/1, asHTTP2 for HTTP/2,
// over where the handshake failed.
func (p *peer) shake() awaited {
	if p.tls == nil || p.shaken {
		return arrived
	}
	cfg := p.s.config()
	deadline := time.Now().Add(cfg.HandshakeTimeout)
	p.tls.SetDeadline(deadline)
	if err := inTurn(p.tls, cfg.Handshakes, p.client.Addr(), deadline); err != nil {
		kernelConn(p.tls).Close() // the alert that says why is on its way
		return over
	}
	p.tls.SetDeadline(time.Time{})
	st := p.tls.ConnectionState()
	p.secure = secure{true, st.ServerName}
	if st.NegotiatedProtocol == "h2" {
		return asHTTP2
	}
	return arrived
}

// toHTTP2 has the connection served as HTTP/2 until it ends. Nothing of HTTP/1 is held meanwhile.
func (p *peer) toHTTP2(read []byte) {
	p.s.http2(Handover{
		Conn: p.nc, Read: read, Client: p.client, Scheme: p.scheme(), ServerName: p.serverName, Listener: p.feed.addr, OnLeave: p.onLeave,
	})
}

// preface is what a client of HTTP/2 sends first: RFC 9113, section 3.4. No method of HTTP/1 that is forwarded begins so.
var preface = []byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")

// awaitPreface looks at the first bytes of a connection without TLS: asHTTP2 says that they are HTTP/2's, arrived that
// they are not. On TLS the handshake chooses.
func (c *conn) awaitPreface(received time.Time) awaited {
	if c.s.http2 == nil || c.p.tls != nil {
		return arrived
	}
	timed := false
	for {
		b := c.r.Buffered()
		if !bytes.HasPrefix(b, preface) && (len(b) >= len(preface) || !bytes.HasPrefix(preface, b)) {
			return arrived
		}
		if len(b) >= len(preface) {
			c.readBy(time.Time{})
			return asHTTP2
		}
		if !timed {
			timed = true
			c.readBy(received.Add(c.s.config().HeadTimeout))
		}
		if c.r.Fill() != nil {
			return arrived // reading the request's head sees the same
		}
	}
}

// kernelConn returns the connection below TLS.
func kernelConn(nc net.Conn) net.Conn { return socket.Kernel(nc) }
