// SPDX-License-Identifier: Apache-2.0

package volume

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

// Edge is where the edge listens, as HOST:PORT, and the name that its certificate is for.
type Edge struct{ Clear, Secure, Name string }

// Client moves bytes by one protocol.
type Client struct {
	// Name is the protocol's, with the client's where it is not Go's own.
	Name string
	// Up sends a body, reading it as the edge takes it, and returns how many bytes the node says that it got.
	Up func(ctx context.Context, body io.Reader) (int64, error)
	// Down asks for n bytes. The body's end is io.EOF only where the answer is whole.
	Down func(ctx context.Context, n int64) (io.ReadCloser, error)
}

// Clients returns a client of each protocol that is a Go program: HTTP/1.1, HTTP/2, each in clear text and over TLS, HTTP/3,
// gRPC over TLS, and WebSocket both ways. Their connections are closed with the test.
func Clients(t testing.TB, e Edge) []Client {
	t.Helper()
	return []Client{
		httpClient(t, e, "HTTP/1.1", false, false), httpClient(t, e, "HTTP/1.1, TLS", true, false),
		httpClient(t, e, "HTTP/2", false, true), httpClient(t, e, "HTTP/2, TLS", true, true),
		http3Client(t, e), grpcClient(t, e), webSocketClient(e, false), webSocketClient(e, true),
	}
}

func httpClient(t testing.TB, e Edge, name string, secure, http2 bool) Client {
	addr, root := e.Clear, "http://"+e.Name
	if secure {
		addr, root = e.Secure, "https://"+e.Name
	}
	p := new(http.Protocols)
	p.SetHTTP1(!http2)
	p.SetHTTP2(http2 && secure)
	p.SetUnencryptedHTTP2(http2 && !secure)
	var d net.Dialer
	tr := &http.Transport{
		Protocols: p, DisableCompression: true, WriteBufferSize: pieceBytes, ReadBufferSize: pieceBytes,
		TLSClientConfig: &tls.Config{ServerName: e.Name, InsecureSkipVerify: true},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return d.DialContext(ctx, network, addr)
		},
	}
	t.Cleanup(tr.CloseIdleConnections)
	return overHTTP(name, tr, root, e.Name)
}

func http3Client(t testing.TB, e Edge) Client {
	tr := &http3.Transport{TLSClientConfig: &tls.Config{ServerName: e.Name, InsecureSkipVerify: true}, QUICConfig: &quic.Config{}, DisableCompression: true}
	t.Cleanup(func() { tr.Close() })
	return overHTTP("HTTP/3 (quic-go)", tr, "https://"+e.Secure, e.Name)
}

// overHTTP speaks through a transport of Go's.
func overHTTP(name string, tr http.RoundTripper, root, host string) Client {
	ask := func(ctx context.Context, method, path string, body io.Reader) (*http.Response, error) {
		req, err := http.NewRequestWithContext(ctx, method, root+path, body)
		if err != nil {
			return nil, err
		}
		req.Host = host
		resp, err := tr.RoundTrip(req)
		if err != nil {
			return nil, err
		}
		if resp.StatusCode != http.StatusOK {
			b, _ := io.ReadAll(io.LimitReader(resp.Body, 1000))
			resp.Body.Close()
			return nil, fmt.Errorf("%s: %s: %s", name, resp.Status, b)
		}
		return resp, nil
	}
	return Client{
		Name: name,
		Up: func(ctx context.Context, body io.Reader) (int64, error) {
			resp, err := ask(ctx, http.MethodPost, "/sink", io.NopCloser(body))
			if err != nil {
				return 0, err
			}
			defer resp.Body.Close()
			b, err := io.ReadAll(resp.Body)
			if err != nil {
				return 0, err
			}
			return strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
		},
		Down: func(ctx context.Context, n int64) (io.ReadCloser, error) {
			resp, err := ask(ctx, http.MethodGet, "/source?bytes="+strconv.FormatInt(n, 10), nil)
			if err != nil {
				return nil, err
			}
			return resp.Body, nil
		},
	}
}
