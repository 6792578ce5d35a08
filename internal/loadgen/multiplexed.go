// SPDX-License-Identifier: Apache-2.0

package loadgen

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

// Multiplexed is one of the clients that share a connection of HTTP/2 or HTTP/3. All fields but Size must be set.
type Multiplexed struct {
	// Transport is the connection; closing a lane closes it for all.
	Transport http.RoundTripper
	// URL is what is asked for by GET, of the host Host.
	URL, Host string
	// Size is how many bytes an answer's body must have. Zero: any.
	Size int64
}

// Exchange implements Lane. Any answer but 200 with Size bytes is an error.
func (m *Multiplexed) Exchange(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, m.URL, nil)
	if err != nil {
		return err
	}
	req.Host = m.Host
	resp, err := m.Transport.RoundTrip(req)
	if err != nil {
		return err
	}
	if resp.ProtoMajor < 2 {
		resp.Body.Close()
		return fmt.Errorf("the server speaks %s", resp.Proto)
	}
	return drain(resp, m.Size)
}

// Close implements Lane.
func (m *Multiplexed) Close() error {
	switch t := m.Transport.(type) {
	case *http.Transport:
		t.CloseIdleConnections()
	case *http3.Transport:
		return t.Close()
	}
	return nil
}

// HTTP2 returns a connection of HTTP/2 to the server that is asked first: over TLS or, without a configuration, with prior
// knowledge. From is the address to connect from. Nil: any.
func HTTP2(secure *tls.Config, from net.IP) *http.Transport {
	protocols := new(http.Protocols)
	protocols.SetHTTP2(secure != nil)
	protocols.SetUnencryptedHTTP2(secure == nil)
	d := net.Dialer{Timeout: patience}
	if from != nil {
		d.LocalAddr = &net.TCPAddr{IP: from}
	}
	return &http.Transport{
		DialContext:        d.DialContext,
		TLSClientConfig:    secure.Clone(),
		Protocols:          protocols,
		DisableCompression: true,
		IdleConnTimeout:    time.Hour,
	}
}

// HTTP3 returns a connection of HTTP/3 to the server that is asked first, through a socket that others may share. Nil: a
// socket of its own.
func HTTP3(secure *tls.Config, socket *quic.Transport) *http3.Transport {
	t := &http3.Transport{
		TLSClientConfig:    secure.Clone(),
		QUICConfig:         &quic.Config{MaxIdleTimeout: time.Hour},
		DisableCompression: true,
	}
	if socket != nil {
		t.Dial = func(ctx context.Context, addr string, secure *tls.Config, conf *quic.Config) (*quic.Conn, error) {
			to, err := net.ResolveUDPAddr("udp", addr)
			if err != nil {
				return nil, err
			}
			return socket.DialEarly(ctx, to, secure, conf)
		}
	}
	return t
}
