// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"meridian/internal/probes"
	"meridian/proxy/exchange"
	"meridian/proxy/http1"
	"meridian/proxy/strict"
)

// onceOurs are names that a node gets once, from the edge.
var onceOurs = []string{"x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "forwarded", "x-request-id"}

// neverForwarded are names that no node gets from a client, in no spelling.
var neverForwarded = []string{
	"connection", "keep-alive", "proxy-connection", "proxy-authorization", "proxy-authenticate", "te", "trailer", "transfer-encoding", "upgrade", "http2-settings", "host", "content-length", "expect", "x-edge-explain",
}

// folded is a name as programs read it that know neither case nor "_" nor ".".
func folded(name string) string {
	return strings.NewReplacer("_", "-", ".", "-").Replace(strings.ToLower(name))
}

// linesOf makes fields of lines, of those that an engine would hand on.
func linesOf(s string) (h exchange.Header) {
	for line := range strings.Lines(s) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		switch strings.ToLower(name) {
		case "host", "content-length", "transfer-encoding", "expect":
			continue
		}
		if strict.IsToken(name) && strict.IsValue(value) && len(h) < 100 {
			h.Add(name, value)
		}
	}
	return h
}

// FuzzForwarded holds what a node gets of a client's fields and trailers: what the edge says, once and as it is, nothing by which
// the client is another, and all of it as others read it.
func FuzzForwarded(f *testing.F) {
	var all, each strings.Builder
	for _, s := range probes.Spoofed {
		f.Add(s.Name+": "+s.Value+"\n", "", "a.test", false)
		f.Add(s.Name+": "+s.Value+"\n", s.Name+": "+s.Value+"\n", "a.test", true)
		all.WriteString(s.Name + ": " + s.Value + "\n")
		each.WriteString("Connection: " + s.Name + "\n")
	}
	f.Add(all.String()+each.String(), all.String(), "[::1]:80", false)
	f.Add("Connection: Forwarded, Via, Authorization\nAuthorization: x\nVia: 1.1 a\n", "Set-Cookie: a\nAuthorization: b\n", "a.test", true)
	f.Add("X-Forwarded-For: 1.1.1.1, 10.0.0.9\nForwarded: for=\"[::1]:1\";host=\"a\\\"b\"\n", "x: y\n", "A.test:1", true)
	f.Fuzz(func(t *testing.T, fields, trailer, host string, trusted bool) {
		if !strict.ValidAuthority(host) {
			return
		}
		peer := netip.MustParseAddrPort("192.0.2.1:1")
		x := &exchange.Exchange{Client: peer, ClientIP: "192.0.2.1", Request: exchange.Request{Scheme: "http", Host: host, Method: "POST", Header: linesOf(fields)}}
		r := relayOf(x, func(c *Config) {
			if trusted {
				c.TrustedProxies = []netip.Prefix{netip.PrefixFrom(peer.Addr(), 32)}
			}
		})
		out, behind := r.appendRequestFields(nil), r.conf.managed.keptTrailer(linesOf(trailer))
		checkForwarded(t, out, trusted)
		want := &probes.Reading{Method: "POST", Target: "/", Path: "/", Host: host, Body: "abcd", Trailer: http.Header{}}
		for _, f := range behind {
			want.Trailer.Add(f.Name, f.Value)
			if slices.Contains(neverForwarded, folded(f.Name)) || slices.Contains(onceOurs, folded(f.Name)) {
				t.Fatalf("the trailer %q", f)
			}
		}
		wire := http1.AppendRequest(nil, &http1.Outgoing{Method: "POST", Target: "/", Host: host, Header: out, Length: exchange.LengthUnknown})
		wire = http1.AppendLastChunk(http1.AppendChunk(wire, []byte("abcd")), behind)
		probes.Oracle(t, wire, want, true)
	})
}

// checkForwarded holds the fields that go to a node to what only the edge may say.
func checkForwarded(t *testing.T, out exchange.Header, trusted bool) {
	t.Helper()
	for _, name := range onceOurs {
		n := 0
		for _, f := range out {
			if folded(f.Name) == name {
				n++
				if !trusted && name == "x-forwarded-for" && f.Value != "192.0.2.1" {
					t.Fatalf("from a peer that nobody trusts, %q", f)
				}
			}
		}
		if n != 1 {
			t.Fatalf("%s is there %d times: %q", name, n, out)
		}
	}
	for _, f := range out {
		if slices.Contains(neverForwarded, folded(f.Name)) || !strict.IsToken(f.Name) || !strict.IsValue(f.Value) {
			t.Fatalf("a field %q", f)
		}
		for _, s := range probes.Spoofed {
			if !trusted && folded(s.Name) == folded(f.Name) && !slices.Contains(onceOurs, folded(f.Name)) {
				t.Fatalf("from a peer that nobody trusts, %q", f)
			}
		}
	}
}
