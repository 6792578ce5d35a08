// SPDX-License-Identifier: Apache-2.0

package http1

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http/httputil"
	"strings"
	"testing"
	"testing/iotest"

	"meridian/internal/probes"
	"meridian/proxy/exchange"
)

// decode reads one chunked body from r and returns it, what was left behind it, and the error that ended it.
func decode(r io.Reader) (body, rest string, err error) {
	b := NewReader(r, 64<<10)
	var m Message
	m.reset(b, exchange.LengthUnknown, func() error { return nil })
	got, err := io.ReadAll(&m)
	left := string(b.Buffered())
	b.Release()
	if !m.Done() && err == nil {
		err = errors.New("no error and no end")
	}
	return string(got), left, err
}

func TestBrokenChunksAreRefused(t *testing.T) {
	for _, in := range []string{
		"\r\n", "x\r\n", "-1\r\nx\r\n0\r\n\r\n", "+1\r\nx\r\n0\r\n\r\n", "0x1\r\nx\r\n0\r\n\r\n", " 1\r\nx\r\n0\r\n\r\n", "1 \r\nx\r\n0\r\n\r\n",
		"1\nx\r\n0\r\n\r\n", "1\r\nx\n0\r\n\r\n", "1\r\nxy\r\n0\r\n\r\n", "1\r\nx0\r\n\r\n", "1\r\nx\r0\r\n\r\n", "2\r\nx\r\n0\r\n\r\n",
		"1;a\nb\r\nx\r\n0\r\n\r\n", "1;a\rb\r\nx\r\n0\r\n\r\n", "1;\x00\r\nx\r\n0\r\n\r\n", "1 ;a\r\nx\r\n0\r\n\r\n", "1;" + strings.Repeat("a", 300) + "\r\nx\r\n0\r\n\r\n",
		"10000000000000000\r\nx", "ffffffffffffffff\r\nx", "0\r\n\n", "0\n\r\n", "0\r\nX : y\r\n\r\n", "0\r\n X: y\r\n\r\n", "0\r\nX\r\n\r\n",
		"0\r\n" + strings.Repeat("X: y\r\n", 33) + "\r\n", "0\r\nX: " + strings.Repeat("y", 9000) + "\r\n\r\n",
		strings.Repeat("1;"+strings.Repeat("a", 200)+"\r\nx\r\n", 100) + "0\r\n\r\n",
	} {
		_, _, err := decode(strings.NewReader(in))
		var refusal *Refusal
		if !errors.As(err, &refusal) {
			t.Errorf("%.60q: got %v, want a refusal", in, err)
		}
	}
}

func TestEveryPrefixOfAChunkedBodyIsABreak(t *testing.T) {
	const whole = "5;x=y\r\nhello\r\n1\r\n!\r\n0\r\nT: v\r\n\r\n"
	for n := range whole {
		if _, _, err := decode(strings.NewReader(whole[:n])); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%q: got %v", whole[:n], err)
		}
	}
	body, rest, err := decode(iotest.OneByteReader(strings.NewReader(whole)))
	if body != "hello!" || rest != "" || err != nil {
		t.Errorf("byte by byte: got %q, %q, %v", body, rest, err)
	}
}

func asProbes(taken []probes.Accepted) (out []probes.Probe) {
	for _, p := range taken {
		out = append(out, probes.Probe{Name: p.Name, Bytes: p.Bytes})
	}
	return out
}

func FuzzChunked(f *testing.F) {
	for _, p := range append(probes.Refused(), asProbes(probes.Taken())...) {
		if _, body, ok := strings.Cut(p.Bytes, "Transfer-Encoding: chunked\r\n\r\n"); ok && len(body) < 1024 {
			f.Add(body)
		}
	}
	for _, s := range []string{"0\r\n\r\n", "5\r\nhello\r\n0\r\n\r\n", "1;a=b\r\nx\r\n0\r\nA: b\r\n\r\nrest", "a\r\n0123456789\r\n0\r\n\r\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		body, _, err := decode(strings.NewReader(in))
		slow, _, err2 := decode(iotest.OneByteReader(strings.NewReader(in)))
		if (err == nil) != (err2 == nil) || body != slow {
			t.Fatalf("at once %q, %v; byte by byte %q, %v", body, err, slow, err2)
		}
		if err != nil {
			return
		}
		// What we take, net/http's reader must take as the same, and fasthttp's where it takes it.
		theirs, err := io.ReadAll(httputil.NewChunkedReader(strings.NewReader(in)))
		if err != nil || string(theirs) != body {
			t.Fatalf("we read %q, net/http %q, %v", body, theirs, err)
		}
		whole := "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n" + in
		probes.Oracle(t, []byte(whole[:consumed(whole)]), &probes.Reading{Method: "POST", Target: "/", Host: "a.test", Path: "/", Body: body}, false)
		// And what we write of it, we read again.
		again := AppendLastChunk(AppendChunk(nil, []byte(body)), nil)
		if b, _, err := decode(bytes.NewReader(again)); err != nil || b != body {
			t.Fatalf("wrote %q, read %q, %v", again, b, err)
		}
	})
}

func BenchmarkChunked(b *testing.B) {
	in := []byte(strings.Repeat(fmt.Sprintf("%x\r\n%s\r\n", 1000, strings.Repeat("x", 1000)), 32) + "0\r\n\r\n")
	src := bytes.NewReader(in)
	r := NewReader(src, 64<<10)
	buf := make([]byte, 4096)
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	for b.Loop() {
		src.Reset(in)
		var m Message
		m.reset(r, exchange.LengthUnknown, func() error { return nil })
		for {
			if _, err := m.Read(buf); err != nil {
				break
			}
		}
		if !m.Done() {
			b.Fatal(m.err)
		}
	}
}
