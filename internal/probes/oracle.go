// SPDX-License-Identifier: Apache-2.0

package probes

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"
)

// Reading is a request as somebody reads it.
type Reading struct {
	Method, Target, Host, Body string
	// Path is what a request is routed by, as it stands in Target.
	Path string
	// Trailer is nil where it makes no difference.
	Trailer http.Header

	decoded string // Path, as another program may put it
}

// Oracle holds our reading of a request in HTTP/1.1 against those of net/http and of fasthttp, which stand for what nodes are made of:
// method, target, host, path, body and where the request ends. They may refuse it. It is for fuzzing.
//
// forwarded says that wire is what the edge has written: then they must not refuse it, but for what they are stricter in than
// any grammar.
func Oracle(t testing.TB, wire []byte, want *Reading, forwarded bool) {
	t.Helper()
	for name, read := range map[string]func(*bufio.Reader) (*Reading, error){"net/http": byNetHTTP, "fasthttp": byFastHTTP} {
		in := bufio.NewReaderSize(bytes.NewReader(wire), len(wire)+4096)
		got, err := read(in)
		if err != nil {
			if forwarded && !stricter(err) {
				t.Fatalf("%s refuses %q: %v", name, wire, err)
			}
			continue
		}
		if got.Method != want.Method || got.Target != want.Target || !strings.EqualFold(got.Host, want.Host) || got.Body != want.Body || want.Trailer != nil && got.Trailer != nil && fmt.Sprint(got.Trailer) != fmt.Sprint(want.Trailer) {
			t.Fatalf("%q is to us\n%+v, to %s\n%+v", wire, want, name, got)
		}
		if got.Path != "" && got.Path != want.Path && got.decoded != want.Path {
			t.Fatalf("%q: we route by %q, %s by %q", wire, want.Path, name, got.Path)
		}
		if rest, _ := io.ReadAll(in); len(rest) > 0 {
			t.Fatalf("%q: %s leaves %q for another request", wire, name, rest)
		}
	}
}

// stricter reports whether a reader refuses what RFC 9110 allows: names that textproto does not know, targets that no URL can be
// made of, and trailers that fasthttp forbids.
func stricter(err error) bool {
	s := err.Error()
	return strings.Contains(s, "malformed MIME header") || strings.Contains(s, "parse \"") || strings.Contains(s, "trailer")
}

func byNetHTTP(in *bufio.Reader) (*Reading, error) {
	r, err := http.ReadRequest(in)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	got := &Reading{Method: r.Method, Target: r.RequestURI, Host: r.Host, Body: string(body), Trailer: http.Header{}}
	for name, values := range r.Trailer {
		if values != nil { // or it is only announced
			got.Trailer[name] = values
		}
	}
	if r.URL.Path != "*" {
		got.Path, got.decoded = r.URL.EscapedPath(), r.URL.Path
	}
	return got, nil
}

func byFastHTTP(in *bufio.Reader) (*Reading, error) {
	var r fasthttp.Request
	r.Header.DisableNormalizing()
	if err := r.Header.Read(in); err != nil {
		return nil, err
	}
	if err := r.ContinueReadBody(in, 0, false); err != nil {
		return nil, err
	}
	// Its trailer is mixed with the header.
	got := &Reading{Method: string(r.Header.Method()), Target: string(r.Header.RequestURI()), Body: string(r.Body())}
	if len(r.Header.Host()) == 0 && strings.HasPrefix(got.Target, "/") {
		return got, nil // HTTP/1.0 may name no host, and nothing is forwarded so: fasthttp then looks for one in the path
	}
	got.Host = string(r.URI().Host())
	if got.Target != "*" {
		got.Path = string(r.URI().PathOriginal())
	}
	return got, nil
}
