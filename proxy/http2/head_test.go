// SPDX-License-Identifier: Apache-2.0

package http2

import (
	"bytes"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/net/http2/hpack"

	"meridian/internal/probes"
	"meridian/proxy/exchange"
	"meridian/proxy/http1"
	"meridian/proxy/strict"
)

// refused are requests that no handler may see, each with how its stream ends. body is sent behind the head.
var refused = []struct {
	name string
	head []string
	body string
	want string // the beginning of the outcome
}{
	{"field value with a line end", get("x", "a\r\nTransfer-Encoding: chunked\r\nX: y"), "", "reset PROTOCOL_ERROR"},
	{"field value with NUL", get("x", "a\x00b"), "", "reset PROTOCOL_ERROR"},
	{"field value with blanks around", get("x", "\ta\t"), "", "reset PROTOCOL_ERROR"},
	{"field name with a line end", get("foo: bar\r\nx", "y"), "", "reset PROTOCOL_ERROR"},
	{"field name in upper case", get("Foo", "y"), "", "reset PROTOCOL_ERROR"},
	{"empty field name", get("", "y"), "", "reset PROTOCOL_ERROR"},
	{"field name with a space", get("a b", "y"), "", "reset PROTOCOL_ERROR"},
	{"field name with a colon", get("a:", "y"), "", "reset PROTOCOL_ERROR"},
	{"connection", get("connection", "close"), "", "reset PROTOCOL_ERROR"},
	{"keep-alive", get("keep-alive", "1"), "", "reset PROTOCOL_ERROR"},
	{"proxy-connection", get("proxy-connection", "close"), "", "reset PROTOCOL_ERROR"},
	{"transfer-encoding", get("transfer-encoding", "chunked"), "", "reset PROTOCOL_ERROR"},
	{"upgrade", get("upgrade", "h2c"), "", "reset PROTOCOL_ERROR"},
	{"te", get("te", "gzip"), "", "reset PROTOCOL_ERROR"},
	{"unknown pseudo-header field", get(":protocol", "websocket"), "", "reset PROTOCOL_ERROR"},
	{":status in a request", get(":status", "200"), "", "reset PROTOCOL_ERROR"},
	{"two paths", get(":path", "/b"), "", "reset PROTOCOL_ERROR"},
	{"pseudo-header field behind another", []string{":method", "GET", ":scheme", "http", "x", "y", ":path", "/"}, "", "reset PROTOCOL_ERROR"},
	{"pseudo-header field behind a cookie", []string{":method", "GET", ":scheme", "http", "cookie", "y", ":path", "/"}, "", "reset PROTOCOL_ERROR"},
	{"no path", []string{":method", "GET", ":scheme", "http", ":authority", "a.test"}, "", "reset PROTOCOL_ERROR"},
	{"empty path", []string{":method", "GET", ":scheme", "http", ":authority", "a.test", ":path", ""}, "", "reset PROTOCOL_ERROR"},
	{"no scheme", []string{":method", "GET", ":authority", "a.test", ":path", "/"}, "", "reset PROTOCOL_ERROR"},
	{"no method", []string{":scheme", "http", ":authority", "a.test", ":path", "/"}, "", "reset PROTOCOL_ERROR"},
	{"CONNECT with a path", []string{":method", "CONNECT", ":scheme", "http", ":authority", "a.test", ":path", "/"}, "", "reset PROTOCOL_ERROR"},
	{"length without body", post("content-length", "5"), "", "reset PROTOCOL_ERROR"},
	{"length zero with body", post("content-length", "0"), "GET /smug HTTP/1.1\r\n\r\n", "reset PROTOCOL_ERROR"},
	{"length too short", post("content-length", "5"), "123456", "reset PROTOCOL_ERROR"},
	{"two lengths", post("content-length", "5", "content-length", "5"), "12345", "reset PROTOCOL_ERROR"},
	{"length plus", post("content-length", "+5"), "12345", "reset PROTOCOL_ERROR"},

	{"CONNECT", []string{":method", "CONNECT", ":authority", "a.test:80"}, "GET /smug HTTP/1.1\r\nHost: x\r\n\r\n", "501 "},
	{"TRACE", []string{":method", "TRACE", ":scheme", "http", ":authority", "a.test", ":path", "/"}, "", "501 "},
	{"method with a line", []string{":method", "GET / HTTP/1.1", ":scheme", "http", ":authority", "a.test", ":path", "/"}, "", "400 "},
	{"scheme", []string{":method", "GET", ":scheme", "http://localhost/?", ":authority", "a.test", ":path", "/"}, "", "400 "},
	{"path with a line", []string{":method", "GET", ":scheme", "http", ":authority", "a.test", ":path", "/ HTTP/1.1"}, "", "400 "},
	{"path without slash", []string{":method", "GET", ":scheme", "http", ":authority", "a.test", ":path", "hello"}, "", "400 "},
	{"absolute path", []string{":method", "GET", ":scheme", "http", ":authority", "a.test", ":path", "http://a.test/"}, "", "400 "},
	{"asterisk with GET", []string{":method", "GET", ":scheme", "http", ":authority", "a.test", ":path", "*"}, "", "400 "},
	{"dot segment", []string{":method", "GET", ":scheme", "http", ":authority", "a.test", ":path", "/a/%2e%2e/admin"}, "", "400 "},
	{"dots behind an encoded slash", []string{":method", "GET", ":scheme", "http", ":authority", "a.test", ":path", "/a%2f../b"}, "", "400 "},
	{"authority with user", []string{":method", "GET", ":scheme", "http", ":authority", "a.test:80@b", ":path", "/"}, "", "400 "},
	{"no authority", []string{":method", "GET", ":scheme", "http", ":path", "/"}, "", "400 "},
	{"empty authority", []string{":method", "GET", ":scheme", "http", ":authority", "", ":path", "/", "host", "a.test"}, "", "400 "},
	{"host is not the authority", get("host", "b.test"), "", "400 "},
	{"two hosts", get("host", "a.test", "host", "a.test"), "", "400 "},
	{"expect", get("expect", "y 100-continue"), "", "417 "},
	{"many fields", get(strings.Fields(strings.Repeat("x y ", 101))...), "", "431 "},
	{"a long field", get("x", strings.Repeat("y", 33<<10)), "", "431 "},
	{"long cookies", get(strings.Fields(strings.Repeat("cookie "+strings.Repeat("y", 4000)+" ", 9))...), "", "431 "},
	{"long path", []string{":method", "GET", ":scheme", "http", ":authority", "a.test", ":path", "/" + strings.Repeat("y", 8<<10)}, "", "414 "},
}

// headers of any length: HEADERS and CONTINUATION.
func (r *raw) longHeaders(id uint32, end bool, pairs []string) {
	b := r.encode(pairs...)
	first := true
	for {
		n := min(len(b), 16384)
		if first {
			r.WriteHeaders(headersParam(id, b[:n], end, n == len(b)))
			first = false
		} else {
			r.WriteContinuation(id, n == len(b), b[:n])
		}
		if b = b[n:]; len(b) == 0 {
			return
		}
	}
}

func TestWhatIsRefusedReachesNoHandler(t *testing.T) {
	var reached atomic.Int64
	s := start(t, Config{Handler: func(x *exchange.Exchange) {
		if x.Path == "/canary" {
			echo(x)
			return
		}
		// A head that is right may come with a body that is not: the handler must then not see the body as whole.
		var b [64]byte
		for {
			_, err := x.Body.Read(b[:])
			if err != nil && err != errGone {
				reached.Add(1)
			}
			if err != nil {
				return
			}
		}
	}})
	for _, c := range refused {
		t.Run(c.name, func(t *testing.T) {
			reached.Store(0)
			r := dial(t, s.addr)
			r.longHeaders(1, c.body == "", c.head)
			if c.body != "" {
				r.WriteData(1, true, []byte(c.body))
			}
			if got := r.outcome(1); !strings.HasPrefix(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
			r.headers(3, true, ":method", "GET", ":scheme", "http", ":authority", "a.test", ":path", "/canary")
			if got := r.outcome(3); !strings.HasPrefix(got, "200 GET /canary ") {
				t.Errorf("the next request got %q", got)
			}
			if reached.Load() > 0 {
				t.Error("a handler took it for whole")
			}
		})
	}
}

func TestWhatIsAccepted(t *testing.T) {
	s := start(t, Config{Handler: echo})
	for _, c := range []struct {
		head []string
		body string
		want string
	}{
		{get("te", "trailers", "accept", "*/*"), "", `200 GET / host=a.test length=-2 body="" header=[{te trailers} {accept */*}]`},
		{get("cookie", "a=1", "x", "y", "cookie", "b=2"), "", `header=[{x y} {cookie a=1; b=2}]`},
		{[]string{":method", "GET", ":scheme", "HTTPS", ":path", "/", "host", "a.test"}, "", "host=a.test"},
		{get("host", "A.test"), "", "host=A.test"},
		{[]string{":method", "OPTIONS", ":scheme", "http", ":authority", "a.test", ":path", "*"}, "", "200 OPTIONS * "},
		{post("content-length", "5"), "hello", `length=5 body="hello"`},
		{post("content-length", "0"), "", "length=0"},
		{post("expect", "100-continue"), "hello", `length=-1 body="hello" header=[]`},
	} {
		r := dial(t, s.addr)
		r.headers(1, c.body == "", c.head...)
		if c.body != "" {
			r.WriteData(1, true, []byte(c.body))
		}
		if got := r.outcome(1); !strings.Contains(got, c.want) {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}

func TestTrailersAreHeldToTheRulesOfHeads(t *testing.T) {
	whole := make(chan bool, 1)
	s := start(t, Config{Handler: func(x *exchange.Exchange) {
		var b [64]byte
		for {
			if _, err := x.Body.Read(b[:]); err != nil {
				whole <- err != errGone
				return
			}
		}
	}})
	for _, trailer := range [][]string{{":path", "/"}, {"content-length", "1"}, {"X", "y"}, {"connection", "x"}, {"x", "a\r\nb"}, strings.Fields(strings.Repeat("x y ", 33))} {
		r := dial(t, s.addr)
		r.headers(1, false, post()...)
		r.WriteData(1, false, []byte("x"))
		r.headers(1, true, trailer...)
		if got := r.outcome(1); got != "reset PROTOCOL_ERROR" || <-whole {
			t.Errorf("%q: got %q", trailer, got)
		}
	}
}

// FuzzHead holds what is accepted, as it goes to a node of HTTP/1.1, against the readings of others.
func FuzzHead(f *testing.F) {
	add := func(end bool, fields ...probes.Field) {
		var block bytes.Buffer
		e := hpack.NewEncoder(&block)
		for _, x := range fields {
			e.WriteField(hpack.HeaderField{Name: x.Name, Value: x.Value})
		}
		f.Add(block.Bytes(), end)
	}
	for _, m := range probes.Messages() {
		if len(m.Fields) < 10 {
			add(m.Body == nil, m.Fields...)
		}
	}
	add(true, probes.Head("GET", "/a?b", "cookie", "a", "x", "y", "cookie", "b", "te", "trailers")...)
	add(false, probes.Head("OPTIONS", "*", "expect", "100-continue", "content-length", "7")...)
	f.Add([]byte("\x82\x86\x84\x41\x06a.test"), true)
	f.Add([]byte("\x83\x87\x84\x41\x06a.test\x40\x01x\x01y\xbe\xbe"), false)
	f.Fuzz(func(t *testing.T, block []byte, end bool) {
		var c fields
		c.reset(strict.Limits{}.WithDefaults())
		d := hpack.NewDecoder(4096, c.add)
		if _, err := d.Write(block); err != nil || d.Close() != nil {
			return
		}
		h, ok, refusal := c.request(end)
		if !ok || refusal != nil {
			return
		}
		for _, x := range h.Header {
			if !fieldOK(x.Name, x.Value) || x.Name == "host" || x.Name == "content-length" || x.Name == "expect" {
				t.Fatalf("a field %q", x)
			}
		}
		if end && h.Length > 0 {
			t.Fatalf("%d bytes behind the end", h.Length)
		}
		h.Header.Del("te")
		wire := http1.AppendRequest(nil, &http1.Outgoing{Method: h.Method, Target: h.Target, Host: h.Host, Header: h.Header, Length: h.Length})
		want := &probes.Reading{Method: h.Method, Target: h.Target, Host: h.Host, Path: h.Path}
		switch {
		case h.Length == exchange.LengthUnknown:
			wire = http1.AppendLastChunk(wire, nil)
		case h.Length > 1<<16:
			return
		case h.Length > 0:
			want.Body = strings.Repeat("x", int(h.Length))
			wire = append(wire, want.Body...)
		}
		probes.Oracle(t, wire, want, true)
	})
}

// FuzzTrailer holds the fields that are taken behind a body to the rules of heads.
func FuzzTrailer(f *testing.F) {
	for _, m := range probes.Messages() {
		if m.Trailer == nil || len(m.Trailer) > 40 {
			continue
		}
		var block bytes.Buffer
		e := hpack.NewEncoder(&block)
		for _, x := range m.Trailer {
			e.WriteField(hpack.HeaderField{Name: x.Name, Value: x.Value})
		}
		f.Add(block.Bytes())
	}
	f.Fuzz(func(t *testing.T, block []byte) {
		var c fields
		c.reset(strict.Limits{}.WithDefaults())
		d := hpack.NewDecoder(4096, c.add)
		if _, err := d.Write(block); err != nil || d.Close() != nil {
			return
		}
		trailer, ok := c.trailer()
		if !ok {
			return
		}
		want := &probes.Reading{Method: "POST", Target: "/", Host: "a.test", Path: "/", Trailer: http.Header{}}
		for _, x := range trailer {
			want.Trailer.Add(x.Name, x.Value)
		}
		wire := http1.AppendRequest(nil, &http1.Outgoing{Method: "POST", Target: "/", Host: "a.test", Length: exchange.LengthUnknown})
		probes.Oracle(t, http1.AppendLastChunk(wire, trailer), want, true)
	})
}
