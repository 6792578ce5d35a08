// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"meridian/internal/testnet"
	"meridian/proxy/exchange"
)

func TestWhoTheClientIs(t *testing.T) {
	for _, c := range []struct {
		name, peer, header string
		ip, list           string
	}{
		{"a peer that nobody trusts", "192.0.2.9", "X-Forwarded-For: 1.1.1.1, 10.0.0.9", "192.0.2.9", "192.0.2.9"},
		{"a trusted peer that says nothing", "10.0.0.9", "", "10.0.0.9", "10.0.0.9"},
		{"a trusted peer", "10.0.0.9", "X-Forwarded-For: 1.1.1.1", "1.1.1.1", "1.1.1.1, 10.0.0.9"},
		{"the right-most that nobody trusts", "10.0.0.9", "X-Forwarded-For: 6.6.6.6, 1.1.1.1, 10.0.0.8", "1.1.1.1", "1.1.1.1, 10.0.0.8, 10.0.0.9"},
		{"the proxy itself in the list", "10.0.0.9", "X-Forwarded-For: 1.1.1.1, 10.0.0.9", "1.1.1.1", "1.1.1.1, 10.0.0.9, 10.0.0.9"},
		{"two lines are one list", "10.0.0.9", "X-Forwarded-For: 6.6.6.6, 1.1.1.1; x-forwarded-for: 10.0.0.8", "1.1.1.1", "1.1.1.1, 10.0.0.8, 10.0.0.9"},
		{"all are trusted", "10.0.0.9", "X-Forwarded-For: 10.0.0.7, 10.0.0.8", "10.0.0.7", "10.0.0.7, 10.0.0.8, 10.0.0.9"},
		{"forms of addresses", "10.0.0.9", "X-Forwarded-For: unknown, ::ffff:1.2.3.4", "1.2.3.4", "1.2.3.4, 10.0.0.9"},
		{"with a port", "10.0.0.9", "X-Forwarded-For: 1.2.3.4:99", "1.2.3.4", "1.2.3.4, 10.0.0.9"},
		{"IPv6 with a port", "10.0.0.9", "X-Forwarded-For: [2001:db8::5]:5", "2001:db8::5", "2001:db8::5, 10.0.0.9"},
		{"IPv6 in brackets", "10.0.0.9", "X-Forwarded-For: [2001:db8::5]", "2001:db8::5", "2001:db8::5, 10.0.0.9"},
		{"the reference's junk", "10.0.0.9", "X-Forwarded-For: unknown, ::ffff:1.2.3.4, 1.2.3.4:99, [::1]:5", "::1", "::1, 10.0.0.9"},
		{"junk at the right", "10.0.0.9", "X-Forwarded-For: 1.1.1.1, unknown", "10.0.0.9", "10.0.0.9"},
		{"junk behind a proxy", "10.0.0.9", "X-Forwarded-For: 1.1.1.1, <script>, 10.0.0.8", "10.0.0.8", "10.0.0.8, 10.0.0.9"},
		{"a zone", "10.0.0.9", "X-Forwarded-For: fe80::1%eth0", "10.0.0.9", "10.0.0.9"},
		{"empty elements", "10.0.0.9", "X-Forwarded-For: 1.1.1.1,, ,", "1.1.1.1", "1.1.1.1, 10.0.0.9"},
		{"another spelling", "10.0.0.9", "X_Forwarded_For: 1.1.1.1", "10.0.0.9", "10.0.0.9"},
		{"a chain without end", "10.0.0.9", "X-Forwarded-For: " + strings.Repeat("10.0.0.1, ", 1000) + "10.0.0.2", "10.0.0.1", "10.0.0.1, " + strings.Repeat("10.0.0.1, ", 14) + "10.0.0.2, 10.0.0.9"},
		{"a trusted peer over IPv6", "2001:db8:1::1", "X-Forwarded-For: 1.1.1.1", "1.1.1.1", "1.1.1.1, 2001:db8:1::1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := relayOf(from(c.peer, c.header), trustPrivate).origin
			if o.ip != c.ip || o.list() != c.list {
				t.Errorf("client %s, list %s; want %s and %s", o.ip, o.list(), c.ip, c.list)
			}
		})
	}
}

func trustPrivate(c *Config) {
	c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8:1::/48")}
}

func from(peer, header string) *exchange.Exchange {
	return &exchange.Exchange{
		Request: exchange.Request{Scheme: "http", Host: "a.test", Header: parse(header)},
		Client:  netip.AddrPortFrom(netip.MustParseAddr(peer), 1), ClientIP: peer,
	}
}

func TestWhatATrustedProxySaysReachesTheNode(t *testing.T) {
	in := "X-Forwarded-For: 2001:db8::7; X-Forwarded-Proto: HTTPS; X-Forwarded-Host: b.test:8443; Forwarded: for=6.6.6.6; " +
		"X-Forwarded-Prefix: /x; X_Forwarded_Prefix: /y; X-Auth-User: u; X.Auth.User: v; X-Real-IP: 1.1.1.1; Accept: a"
	want := exchange.Header{
		{Name: "X-Forwarded-Prefix", Value: "/x"}, {Name: "X-Auth-User", Value: "u"}, {Name: "X-Real-IP", Value: "1.1.1.1"}, {Name: "Accept", Value: "a"},
		{Name: "X-Forwarded-For", Value: "2001:db8::7, 10.0.0.9"}, {Name: "X-Forwarded-Proto", Value: "https"}, {Name: "X-Forwarded-Host", Value: "b.test:8443"},
		{Name: "Forwarded", Value: `for="[2001:db8::7]";host="b.test:8443";proto=https, for=10.0.0.9`}, {Name: "Via", Value: "1.1 meridian"}, {Name: "X-Request-Id", Value: "an-id"},
	}
	if diff := cmp.Diff(want, relayOf(from("10.0.0.9", in), trustPrivate).appendRequestFields(nil)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	// What it says twice or wrongly is passed over.
	o := relayOf(from("10.0.0.9", `X-Forwarded-Proto: gopher; X-Forwarded-Host: b.test"; x`), trustPrivate).origin
	if o.scheme != "http" || o.host != "a.test" {
		t.Errorf("got %+v", o)
	}
	o = relayOf(from("10.0.0.9", "X-Forwarded-Proto: https; X-Forwarded-Proto: http"), trustPrivate).origin
	if o.scheme != "http" {
		t.Errorf("said twice: got %+v", o)
	}
}

func TestManagedNamesAreDroppedFromTrailersToo(t *testing.T) {
	m := newManaged([]string{"X-Auth-User"})
	in := parse("X-Ok: 1; X_Forwarded_For: 6.6.6.6; x.auth.user: a; X-Auth-User: b; X-Real-IP: c; Content_Length: 5; Transfer-Encoding: chunked; Set-Cookie: d; Host: e; X_Ok: 2")
	if diff := cmp.Diff(parse("X-Ok: 1; X_Ok: 2"), m.keptTrailer(in)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestARequestThatComesBackIsRefused(t *testing.T) {
	e := newEdge(t, func(c *Config) { c.Via = "edge-1" })
	e.node("n1", "web", e.addr) // the route leads back to the edge
	if status, body, h := e.ask("GET", "/", ""); status != 508 || !strings.Contains(body, "has come through this edge before") {
		t.Errorf("got %d %q %v", status, body, h)
	}
	delete(e.set, nodeKey("n1"))
	e.apply() // without a node: what passes gets 503
	for value, want := range map[string]string{
		"1.1 EDGE-1": "508", "1.0 other, HTTP/1.1 edge-1 (comment)": "508", "1.1 edge-10": "503", "1.1 edge-2, 2 x": "503", "edge-1": "503", "": "503",
	} {
		c := testnet.Dial(t, e.addr)
		c.Send("GET / HTTP/1.1\r\nHost: a.test\r\nVia: " + value + "\r\n\r\n")
		if got := c.ReadUntil("\r\n"); !strings.Contains(got, want) {
			t.Errorf("%q: got %q, want %s", value, got, want)
		}
	}
}

func TestOptionsOfTheWholeServerIsTheEdgesToAnswer(t *testing.T) {
	e := newEdge(t)
	c := testnet.Dial(t, e.addr)
	c.Send("OPTIONS * HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n")
	if got, _ := c.ReadAll(); !strings.HasPrefix(got, "HTTP/1.1 200 ") || !strings.Contains(got, "Allow: GET, ") {
		t.Errorf("got %q", got)
	}
}

func TestMaxForwardsIsObeyed(t *testing.T) {
	e := newEdge(t)
	got := make(chan string, 1)
	e.rawNode("n1", "web", func(c *testnet.Conn) {
		got <- c.ReadUntil("\r\n\r\n")
		c.Send("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
	})
	for _, c := range []struct{ method, value, answer, node string }{
		{"OPTIONS", "0", "HTTP/1.1 200 OK\r\n", ""}, {"OPTIONS", "5", "HTTP/1.1 204 No Content\r\n", "Max-Forwards: 4\r\n"},
		{"OPTIONS", "x", "HTTP/1.1 400 Bad Request\r\n", ""}, {"OPTIONS", "-1", "HTTP/1.1 400 Bad Request\r\n", ""},
		{"OPTIONS", "1\r\nMax-Forwards: 1", "HTTP/1.1 400 Bad Request\r\n", ""},
		{"GET", "0", "HTTP/1.1 204 No Content\r\n", "Max-Forwards: 0\r\n"}, {"TRACE", "0", "HTTP/1.1 501 Not Implemented\r\n", ""},
	} {
		conn := testnet.Dial(t, e.addr)
		conn.Send(c.method + " / HTTP/1.1\r\nHost: a.test\r\nMax-Forwards: " + c.value + "\r\n\r\n")
		if a := conn.ReadUntil("\r\n"); a != c.answer {
			t.Errorf("%s %q: got %q, want %q", c.method, c.value, a, c.answer)
		}
		select {
		case head := <-got:
			if c.node == "" || !strings.Contains(head, "\r\n"+c.node) {
				t.Errorf("%s %q: the node got %q", c.method, c.value, head)
			}
		default:
			if c.node != "" {
				t.Errorf("%s %q: the node got nothing", c.method, c.value)
			}
		}
	}
}

// FuzzOrigin holds that whatever a trusted proxy passes on, the node gets well-formed fields, and that the client is never an
// address that stands left of one that nobody trusts.
func FuzzOrigin(f *testing.F) {
	f.Add("1.1.1.1, 10.0.0.8", "https", "b.test:80")
	f.Add("unknown, ::ffff:1.2.3.4, 1.2.3.4:99, [::1]:5", "HTTP", "[::1]:5")
	f.Add(",,[,]:1, fe80::1%x, 10.0.0.1", "x", `a";for=x`)
	f.Fuzz(func(t *testing.T, list, proto, host string) {
		x := from("10.0.0.9", "")
		x.Header = exchange.Header{{Name: "X-Forwarded-For", Value: list}, {Name: "X-Forwarded-Proto", Value: proto}, {Name: "X-Forwarded-Host", Value: host}}
		r := relayOf(x, trustPrivate)
		o := r.origin
		if _, err := netip.ParseAddr(o.ip); err != nil || len(o.chain) > maxHops {
			t.Fatalf("client %q over %v", o.ip, o.chain)
		}
		for _, hop := range o.chain {
			if !r.conf.trusts(hop) {
				t.Fatalf("%q: the client is %s, left of %s, which nobody trusts", list, o.ip, hop)
			}
		}
		if o.scheme != "http" && o.scheme != "https" {
			t.Fatalf("scheme %q", o.scheme)
		}
		for _, field := range r.appendOrigin(nil) {
			if strings.ContainsAny(field.Value, "\r\n\x00\\<>") || strings.Count(field.Value, `"`)%2 != 0 {
				t.Fatalf("%s: %q", field.Name, field.Value)
			}
		}
	})
}
