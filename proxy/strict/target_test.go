// SPDX-License-Identifier: Apache-2.0

package strict

import (
	"net/url"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"

	"meridian/internal/probes"
)

// FuzzTarget holds the targets that we take against the readings of others, and their paths to what a node may make of them by decoding
// once and by taking dot segments for what they are.
func FuzzTarget(f *testing.F) {
	for _, list := range [][]string{probes.Paths, probes.EncodedSlashes, probes.LiteralPaths, {"*", "http://a.test", "http://a.test/x?y", "HTTPS://a.test:80/", "http://[::1]/", "http://a.test?x", "/%2e;x/", "/a%3b/..%3bx"}} {
		for _, target := range list {
			f.Add("GET", target)
		}
	}
	f.Add("OPTIONS", "*")
	f.Fuzz(func(t *testing.T, method, target string) {
		if target == "" || Method(method) != nil || strings.ContainsAny(target, " \r\n") { // the request line has been split
			return
		}
		origin, path, authority, refused := ParseTarget(method, target)
		if refused != nil {
			return
		}
		if !strings.HasSuffix(target, origin) && origin != "/" || !strings.HasPrefix(origin, path) || authority != "" && !strings.Contains(target, "://"+authority) {
			t.Fatalf("%q became %q, %q, %q", target, origin, path, authority)
		}
		if authority != "" && !ValidAuthority(authority) {
			return // it must be that of the Host field, which is held to this
		}
		host := authority
		if host == "" {
			host = "a.test"
		}
		for _, at := range []string{target, origin} {
			wire := method + " " + at + " HTTP/1.1\r\nHost: " + host + "\r\n\r\n"
			probes.Oracle(t, []byte(wire), &probes.Reading{Method: method, Target: at, Host: host, Path: path}, at == origin)
		}
		if path != "*" {
			staysInPlace(t, path)
		}
	})
}

// staysInPlace fails for a path that leads elsewhere when its segments are read by another program.
func staysInPlace(t *testing.T, path string) {
	t.Helper()
	decoded, err := url.PathUnescape(path)
	if err != nil {
		t.Fatalf("%q: %v", path, err)
	}
	for segment := range strings.SplitSeq(strings.ReplaceAll(decoded, "\\", "/"), "/") {
		if name, _, _ := strings.Cut(segment, ";"); name == "." || name == ".." {
			t.Fatalf("%q has a dot segment", path)
		}
	}
	for i := range len(decoded) {
		if decoded[i] < 0x20 || decoded[i] == 0x7f || decoded[i] == '\\' {
			t.Fatalf("%q has the byte %#x", path, decoded[i])
		}
	}
	var u fasthttp.URI
	if err := u.Parse([]byte("a.test"), []byte(path)); err != nil {
		t.Fatalf("fasthttp does not take %q: %v", path, err)
	}
	if string(u.PathOriginal()) != path {
		t.Fatalf("%q is %q to fasthttp", path, u.PathOriginal())
	}
}
