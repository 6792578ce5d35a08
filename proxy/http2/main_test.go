// SPDX-License-Identifier: Apache-2.0

package http2

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
	xhttp2 "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"meridian/internal/testnet"
	"meridian/proxy/exchange"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// served is a server with a listener that hands every connection to it.
type served struct {
	*Server
	addr string
}

func start(t testing.TB, c Config) *served {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &served{NewServer(c), ln.Addr().String()}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				s.Serve(nc, nil, Peer{Addr: netip.MustParseAddrPort(nc.RemoteAddr().String()), Scheme: "http"})
			})
		}
	})
	t.Cleanup(func() { ln.Close(); s.Stop(0); wg.Wait() })
	return s
}

// echo answers with what it was asked.
func echo(x *exchange.Exchange) {
	body, err := io.ReadAll(x.Body)
	if err != nil {
		x.Reply.Abort()
		return
	}
	text := fmt.Sprintf("%s %s host=%s length=%d body=%q header=%v trailer=%v", x.Method, x.Target, x.Host, x.Length, body, x.Header, x.Body.Trailer())
	x.Reply.WriteHead(&exchange.Head{Status: 200, Length: int64(len(text)), Header: exchange.Header{{Name: "X-Test", Value: "1"}}})
	io.WriteString(x.Reply, text)
	x.Reply.End(nil)
}

// h2client is net/http's client with prior knowledge.
func h2client(t testing.TB) *http.Client {
	p := new(http.Protocols)
	p.SetUnencryptedHTTP2(true)
	tr := &http.Transport{Protocols: p, DisableCompression: true}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: testnet.Patience}
}

// raw is a client that sends any frame.
type raw struct {
	t testing.TB
	net.Conn
	*xhttp2.Framer
	block   bytes.Buffer
	encoder *hpack.Encoder
	decoder *hpack.Decoder
}

// dial connects and exchanges settings.
func dial(t testing.TB, addr string, set ...xhttp2.Setting) *raw {
	t.Helper()
	c := testnet.Dial(t, addr)
	r := &raw{t: t, Conn: c, Framer: xhttp2.NewFramer(c, c)}
	r.AllowIllegalWrites = true
	r.encoder = hpack.NewEncoder(&r.block)
	r.decoder = hpack.NewDecoder(4096, nil)
	io.WriteString(c, xhttp2.ClientPreface)
	r.WriteSettings(set...)
	return r
}

// encode makes a header block of pairs.
func (r *raw) encode(pairs ...string) []byte {
	r.block.Reset()
	for i := 0; i < len(pairs); i += 2 {
		r.encoder.WriteField(hpack.HeaderField{Name: pairs[i], Value: pairs[i+1]})
	}
	return bytes.Clone(r.block.Bytes())
}

// get are the pseudo-header fields of a plain request.
func get(more ...string) []string {
	return append([]string{":method", "GET", ":scheme", "http", ":authority", "a.test", ":path", "/"}, more...)
}

func post(more ...string) []string {
	return append([]string{":method", "POST", ":scheme", "http", ":authority", "a.test", ":path", "/"}, more...)
}

func (r *raw) headers(id uint32, end bool, pairs ...string) error {
	return r.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: id, BlockFragment: r.encode(pairs...), EndStream: end, EndHeaders: true})
}

// outcome reads until the stream ends, or the connection, and says how: "200 body", "reset CODE", "goaway CODE" or "closed".
func (r *raw) outcome(id uint32) string {
	status, body := "", ""
	for {
		f, err := r.ReadFrame()
		if err != nil {
			return "closed"
		}
		end := false
		switch f := f.(type) {
		case *xhttp2.HeadersFrame:
			fields, err := r.decoder.DecodeFull(f.HeaderBlockFragment())
			if err != nil {
				r.t.Fatal(err)
			}
			if f.StreamID == id && len(fields) > 0 && fields[0].Name == ":status" && !strings.HasPrefix(fields[0].Value, "1") {
				status = fields[0].Value
			}
			end = f.StreamEnded()
		case *xhttp2.DataFrame:
			if f.StreamID == id {
				body += string(f.Data())
			}
			end = f.StreamEnded()
		case *xhttp2.RSTStreamFrame:
			if f.StreamID == id {
				return "reset " + f.ErrCode.String()
			}
		case *xhttp2.GoAwayFrame:
			if f.ErrCode != xhttp2.ErrCodeNo {
				return "goaway " + f.ErrCode.String()
			}
		}
		if end && f.Header().StreamID == id {
			return status + " " + body
		}
	}
}

func ask(t testing.TB, c *http.Client, req *http.Request) (*http.Response, string) {
	t.Helper()
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(b)
}

func request(t testing.TB, method, url string, body io.Reader) *http.Request {
	ctx, cancel := context.WithTimeout(context.Background(), testnet.Patience)
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	return req
}

func headersParam(id uint32, b []byte, end, whole bool) xhttp2.HeadersFrameParam {
	return xhttp2.HeadersFrameParam{StreamID: id, BlockFragment: b, EndStream: end, EndHeaders: whole}
}
