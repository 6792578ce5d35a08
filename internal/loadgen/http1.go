// SPDX-License-Identifier: Apache-2.0

package loadgen

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// patience bounds one exchange: longer is a failure, not a latency.
const patience = 30 * time.Second

// HTTP1 is a client of HTTP/1.1 with one connection, which it opens when it needs it. Addr and Request must be set.
type HTTP1 struct {
	Addr string
	// TLS says how to connect. Nil: in the clear.
	TLS *tls.Config
	// From is the address to connect from. Nil: any.
	From net.IP
	// Request is sent as it stands.
	Request []byte
	// Size is how many bytes an answer's body must have. Zero: any.
	Size int64
	// Once has every request go over a connection of its own, which the server is left to close.
	Once bool

	conn net.Conn
	r    *bufio.Reader
}

// Exchange implements Lane. Any answer but 200 with Size bytes is an error.
func (h *HTTP1) Exchange(ctx context.Context) error {
	if h.conn == nil {
		if err := h.connect(ctx); err != nil {
			return err
		}
	}
	err := h.exchange()
	if err != nil || h.Once {
		h.Close()
	}
	return err
}

func (h *HTTP1) connect(ctx context.Context) (err error) {
	if h.conn, err = dial(ctx, h.Addr, h.From, h.TLS); err != nil {
		return err
	}
	if h.r == nil {
		h.r = bufio.NewReader(nil)
	}
	h.r.Reset(h.conn)
	return nil
}

// dial connects and, with a configuration, does TLS's handshake. The connection has patience.
func dial(ctx context.Context, addr string, from net.IP, secure *tls.Config) (net.Conn, error) {
	d := net.Dialer{Timeout: patience}
	if from != nil {
		d.LocalAddr = &net.TCPAddr{IP: from}
	}
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	conn.SetDeadline(time.Now().Add(patience))
	if secure == nil {
		return conn, nil
	}
	c := tls.Client(conn, secure)
	if err := c.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, fmt.Errorf("TLS handshake with %s: %w", addr, err)
	}
	return c, nil
}

func (h *HTTP1) exchange() error {
	h.conn.SetDeadline(time.Now().Add(patience))
	if _, err := h.conn.Write(h.Request); err != nil {
		return err
	}
	resp, err := http.ReadResponse(h.r, nil)
	if err != nil {
		return err
	}
	if err := drain(resp, h.Size); err != nil {
		return err
	}
	if h.Once { // so that the ports in TIME-WAIT are the server's
		if b, err := h.r.ReadByte(); err != io.EOF {
			return fmt.Errorf("the server does not end the connection cleanly: got byte %#x, error %v", b, err)
		}
	}
	return nil
}

// drain reads an answer of so many bytes to its end.
func drain(resp *http.Response, size int64) error {
	n, err := io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	switch {
	case err != nil:
		return err
	case resp.StatusCode != http.StatusOK:
		return fmt.Errorf("status %d", resp.StatusCode)
	case size != 0 && n != size:
		return fmt.Errorf("an answer of %d bytes instead of %d: from somebody else than the node", n, size)
	}
	return nil
}

// Close implements Lane.
func (h *HTTP1) Close() error {
	if h.conn == nil {
		return nil
	}
	err := h.conn.Close()
	h.conn = nil
	return err
}
