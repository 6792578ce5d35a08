// SPDX-License-Identifier: Apache-2.0

package http1

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"

	"meridian/internal/probes"
	"meridian/proxy/exchange"
	"meridian/proxy/strict"
)

// readWhole reads one request as a connection does, head and body.
func readWhole(in io.Reader) (h *requestHead, body []byte, trailer exchange.Header, err error) {
	r := NewReader(in, 64<<10)
	defer r.Release()
	raw, err := readHead(r, Limits{}.WithDefaults())
	if err != nil {
		return nil, nil, nil, err
	}
	h = &requestHead{}
	refusal := parseRequest(raw, h)
	r.Discard(len(raw))
	if refusal != nil {
		return nil, nil, nil, refusal
	}
	var m Message
	m.reset(r, h.Length, func() error { return nil })
	body, err = io.ReadAll(&m)
	return h, body, m.Trailer(), err
}

// FuzzRequest holds what we accept, and what we write of it, against the readings of others, and byte by byte against at once.
func FuzzRequest(f *testing.F) {
	for _, c := range accepted {
		f.Add(c.in)
	}
	for _, c := range refusedRequests {
		if len(c.in) < 4096 {
			f.Add(c.in)
		}
	}
	for _, p := range probes.Taken() {
		f.Add(p.Bytes)
	}
	f.Fuzz(func(t *testing.T, in string) {
		h, body, trailer, err := readWhole(strings.NewReader(in))
		slow, _, _, slowErr := readWhole(iotest.OneByteReader(strings.NewReader(in)))
		if (err == nil) != (slowErr == nil) {
			t.Fatalf("at once %v, byte by byte %v (%v)", err, slowErr, slow)
		}
		if err != nil {
			return
		}
		want := &probes.Reading{Method: h.Method, Target: h.rawTarget, Host: h.Host, Path: h.Path, Body: string(body), Trailer: asHeader(trailer)}
		if i := consumed(in); !h.Header.HasToken("Connection", "upgrade") { // fasthttp takes no body then
			probes.Oracle(t, []byte(in[:i]), want, false)
		}
		if want.Target = h.Target; h.Host == "" {
			want.Host = "node.test"
		}
		probes.Oracle(t, rewrite(want, h.Header, h.Length, trailer), want, true)
	})
}

// consumed returns how many bytes of in are one request.
func consumed(in string) int {
	src := strings.NewReader(in)
	r := NewReader(src, 64<<10)
	defer r.Release()
	raw, _ := readHead(r, Limits{}.WithDefaults())
	h := &requestHead{}
	parseRequest(raw, h)
	r.Discard(len(raw))
	var m Message
	m.reset(r, h.Length, func() error { return nil })
	io.Copy(io.Discard, &m)
	return len(in) - src.Len() - len(r.Buffered())
}

// rewrite makes the request anew, as it goes to a node.
func rewrite(q *probes.Reading, h exchange.Header, length int64, trailer exchange.Header) []byte {
	out := AppendRequest(nil, &Outgoing{Method: q.Method, Target: q.Target, Host: q.Host, Header: h, Length: length})
	if length == exchange.LengthUnknown {
		return AppendLastChunk(AppendChunk(out, []byte(q.Body)), trailer)
	}
	return append(out, q.Body...)
}

func asHeader(from exchange.Header) http.Header {
	h := http.Header{}
	for _, f := range from {
		h.Add(f.Name, f.Value)
	}
	return h
}

// FuzzTrailer holds the fields that we take behind a body, and write anew, against net/http's reading.
func FuzzTrailer(f *testing.F) {
	for _, s := range []string{"\r\n", "X: y\r\n\r\n", "X:y\r\nX:\tz\t\r\n\r\n", "x: y\r\n z\r\n\r\n", "x : y\r\n\r\n", ": y\r\n\r\n", "x: y\n\r\n", "x\r\n\r\n", "Content-Length: 5\r\n\r\n", "Host: b.test\r\n\r\n", "x: \xff\r\n\r\n\r\n"} {
		f.Add(s)
	}
	for _, p := range probes.Refused() {
		if _, trailer, ok := strings.Cut(p.Bytes, "\r\n0\r\n"); ok && len(trailer) < 1024 {
			f.Add(trailer)
		}
	}
	f.Fuzz(func(t *testing.T, in string) {
		const head = "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n"
		h, body, trailer, err := readWhole(strings.NewReader(head + in))
		_, _, slow, slowErr := readWhole(iotest.OneByteReader(strings.NewReader(head + in)))
		if (err == nil) != (slowErr == nil) || len(trailer) != len(slow) {
			t.Fatalf("at once %v %v, byte by byte %v %v", trailer, err, slow, slowErr)
		}
		if err != nil {
			return
		}
		for _, x := range trailer {
			if !strict.IsToken(x.Name) || !strict.IsValue(x.Value) {
				t.Fatalf("%q has the field %q", in, x)
			}
		}
		want := &probes.Reading{Method: "POST", Target: "/", Host: "a.test", Path: "/", Body: string(body), Trailer: asHeader(trailer)}
		probes.Oracle(t, []byte((head + in)[:consumed(head+in)]), want, false)
		probes.Oracle(t, rewrite(want, h.Header, h.Length, trailer), want, true)
	})
}

// FuzzResponse holds what we take of a node's answer against net/http's reading of the same bytes.
func FuzzResponse(f *testing.F) {
	for _, s := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", "HTTP/1.1 204 No Content\r\n\r\n", "HTTP/1.0 200\r\n\r\nhi",
		"HTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n", "HTTP/3.7 200 OK\r\n\r\n", "HTTP/1.1 99999\r\n\r\n",
	} {
		f.Add(s, false)
	}
	f.Fuzz(func(t *testing.T, in string, head bool) {
		method := "GET"
		if head {
			method = "HEAD"
		}
		read := func(src io.Reader) (int, []byte, error) {
			r := NewReader(src, 64<<10)
			defer r.Release()
			var resp Response
			if _, err := ReadResponse(r, Sent{Method: method}, &resp, Limits{}.WithDefaults()); err != nil {
				return 0, nil, err
			}
			var m Message
			m.ResetResponse(r, &resp, func() error { return nil })
			body, err := io.ReadAll(&m)
			return resp.Status, body, err
		}
		status, body, err := read(strings.NewReader(in))
		status2, body2, err2 := read(iotest.OneByteReader(strings.NewReader(in)))
		if (err == nil) != (err2 == nil) || status != status2 || !bytes.Equal(body, body2) {
			t.Fatalf("at once %d %q %v, byte by byte %d %q %v", status, body, err, status2, body2, err2)
		}
		if err != nil || strings.HasPrefix(in, "HTTP/1.1 1") || strings.HasPrefix(in, "HTTP/1.0 1") {
			return // net/http hands interim answers out as if they were final
		}
		resp, err := http.ReadResponse(bufio.NewReader(strings.NewReader(in)), &http.Request{Method: method})
		if err != nil {
			if strings.Contains(err.Error(), "malformed MIME header") {
				return
			}
			t.Fatalf("net/http refuses %q: %v", in, err)
		}
		theirs, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != status || !bytes.Equal(theirs, body) {
			t.Fatalf("%q: we read %d %q, net/http %d %q, %v", in, status, body, resp.StatusCode, theirs, err)
		}
	})
}

func TestMalformedAnswersAreRefused(t *testing.T) {
	for _, in := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775808\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
		"HTTP/3.7 200 OK\r\n\r\n", "HTTP/1.1 99999\r\n\r\n", "HTTP/1.1 099 X\r\n\r\n", "HTTP/1.1 600 X\r\n\r\n", "HTTP/1.1  200 OK\r\n\r\n", "HTTP/1.1 200OK\r\n\r\n", "200 OK\r\n\r\n",
		"HTTP/1.1 200 O\x00K\r\n\r\n", "HTTP/1.1 200 OK\nX: y\n\n", "HTTP/1.1 200 OK\r\nX: a\rb\r\n\r\n", "HTTP/1.1 200 OK\r\nX : y\r\n\r\n", "HTTP/1.1 200 OK\r\nX: y\r\n z\r\n\r\n",
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 17) + "HTTP/1.1 200 OK\r\n\r\n",
		"HTTP/1.1 200 OK\r\n" + strings.Repeat("X: y\r\n", 200) + "\r\n", "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("y", 1<<16),
	} {
		r := NewReader(strings.NewReader(in), 64<<10)
		var resp Response
		_, err := ReadResponse(r, Sent{Method: "GET"}, &resp, Limits{}.WithDefaults())
		var refusal *Refusal
		if !errors.As(err, &refusal) {
			t.Errorf("%.60q: got %v, want a refusal", in, err)
		}
		r.Release()
	}
}

func TestInterimAnswersArePassedOver(t *testing.T) {
	r := NewReader(strings.NewReader("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 204 No Content\r\nX: y\r\n\r\n"), 64<<10)
	var resp Response
	started, err := ReadResponse(r, Sent{Method: "GET"}, &resp, Limits{}.WithDefaults())
	if !started || err != nil || resp.Status != 204 || resp.Header.Get("X") != "y" || resp.Header.Get("Link") != "" || !resp.Bodyless || !resp.Keep {
		t.Errorf("got %v, %v, %+v", started, err, resp)
	}
	r.Release()
}

func TestA204ThatAnnouncesABodyEndsItsConnection(t *testing.T) {
	for in, keep := range map[string]bool{
		"HTTP/1.1 204 No Content\r\n\r\n": true, "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n": true,
		"HTTP/1.1 204 No Content\r\nContent-Length: 4\r\n\r\n": false, "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n": false,
	} {
		r := NewReader(strings.NewReader(in), 64<<10)
		var resp Response
		if _, err := ReadResponse(r, Sent{Method: "GET"}, &resp, Limits{}.WithDefaults()); err != nil || resp.Keep != keep {
			t.Errorf("%q: keep %v, %v", in, resp.Keep, err)
		}
		r.Release()
	}
}

func BenchmarkParseRequest(b *testing.B) {
	raw := []byte("GET /api/v1/items?page=2 HTTP/1.1\r\nHost: api.example.org\r\nUser-Agent: bench/1.0\r\nAccept: */*\r\nAccept-Encoding: gzip\r\n\r\n")
	var h requestHead
	b.ReportAllocs()
	for b.Loop() {
		if r := parseRequest(raw, &h); r != nil {
			b.Fatal(r)
		}
	}
}
