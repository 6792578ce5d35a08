// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"context"
	"crypto/tls"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/quic-go/quic-go"
	xhttp3 "github.com/quic-go/quic-go/http3"

	"meridian/internal/testnet"
)

// engine is a way in which a client can speak with the edge.
type engine struct {
	name    string
	tls     bool
	version int // of HTTP
}

var allEngines = []engine{{"HTTP/1.1", false, 1}, {"HTTP/1.1 over TLS", true, 1}, {"h2c", false, 2}, {"HTTP/2", true, 2}, {"HTTP/3", true, 3}}

// client returns a client of the kind, with connections of its own, and the URL of the edge's root for it.
func (g engine) client(t testing.TB, e *edge) (c *http.Client, root string) {
	c, root, _ = g.countingClient(t, e)
	return c, root
}

// countingClient is client, with what counts its connections.
func (g engine) countingClient(t testing.TB, e *edge) (c *http.Client, root string, dials func() int) {
	if g.version < 3 {
		return engineClient(t, e, g.tls, g.version == 2)
	}
	var n atomic.Int64
	tr := &xhttp3.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true, ServerName: "a.test"}, DisableCompression: true,
		Dial: func(ctx context.Context, _ string, conf *tls.Config, qc *quic.Config) (*quic.Conn, error) {
			n.Add(1)
			return quic.DialAddr(ctx, e.secureAddr(), conf, qc)
		},
	}
	t.Cleanup(func() { tr.Close() })
	return &http.Client{Transport: tr, Timeout: testnet.Patience}, "https://a.test", func() int { return int(n.Load()) }
}
