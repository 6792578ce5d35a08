// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"meridian/internal/testnet"
	"meridian/proxy/exchange"
)

// said is what the edge says of a plain client.
var said = exchange.Header{
	{Name: "X-Forwarded-For", Value: "192.0.2.1"}, {Name: "X-Forwarded-Proto", Value: "http"}, {Name: "X-Forwarded-Host", Value: "a.test"},
	{Name: "Forwarded", Value: `for=192.0.2.1;host="a.test";proto=http`}, {Name: "Via", Value: "1.1 meridian"}, {Name: "X-Request-Id", Value: "an-id"},
}

// relayOf returns a relay as far as header fields need one.
func relayOf(x *exchange.Exchange, change ...func(*Config)) *relay {
	c := Config{Managed: []string{"X-Auth-User", "X-Authenticated-User"}}
	for _, f := range change {
		f(&c)
	}
	c = c.withDefaults()
	return &relay{s: &Server{cfg: c, via: newVia(c.Via)}, conf: &c, x: x, id: "an-id", origin: c.originOf(x)}
}

func TestWhatOfARequestsFieldsReachesTheNode(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"plain", "Accept: a; X-B: c; x-b: d", "Accept: a; X-B: c; x-b: d"},
		{"hop by hop", "Connection: keep-alive; Keep-Alive: 5; Proxy-Connection: x; Proxy-Authorization: x; TE: trailers; Trailer: x; Upgrade: h2c; HTTP2-Settings: x", ""},
		{"named by Connection", "Connection: close, x-one; connection: X-TWO; X-One: 1; x-two: 2; X-Three: 3", "X-Three: 3"},
		{"named by Connection, but relied on", "Connection: Authorization, Cookie, Content-Type, Mcp-Session-Id; Authorization: a; Cookie: b; Content-Type: c; Mcp-Session-Id: d",
			"Authorization: a; Cookie: b; Content-Type: c; Mcp-Session-Id: d"},
		{"what the edge says", "X-Forwarded-For: 6.6.6.6; x-forwarded-proto: https; X-FORWARDED-HOST: evil; Forwarded: for=6.6.6.6; X-Real-IP: 6.6.6.6; X-Forwarded-Prefix: /; x-request-id: a; X_Request_Id: b; X-Edge-Explain: 1; x.edge_explain: 1", ""},
		{"what passes for another path or method", "X-Original-URL: /admin; X-Rewrite-URL: /admin; X-HTTP-Method-Override: DELETE; CF-Connecting-IP: 6.6.6.6; True-Client-IP: 6.6.6.6", ""},
		{"managed by configuration", "X-Auth-User: admin; X_Auth_User: admin; x.authenticated.user: admin; X-Auth-Users: x", "X-Auth-Users: x"},
		{"other spellings", "X_Forwarded_For: 6.6.6.6; X.Forwarded.For: 6.6.6.6; X-Forwarded_Proto: https; Content_Length: 9; Transfer.Encoding: chunked; Mcp_Session_Id: x; Authorization_: y", "Authorization_: y"},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := &exchange.Exchange{Request: exchange.Request{Scheme: "http", Host: "a.test", Header: parse(c.in)}, ClientIP: "192.0.2.1"}
			want := append(parse(c.want), said...)
			if diff := cmp.Diff(want, relayOf(x).appendRequestFields(nil)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestWhatOfAnAnswersFieldsReachesTheClient(t *testing.T) {
	in := parse("Connection: keep-alive, X-One; X-One: 1; Keep-Alive: timeout=5; Set-Cookie: a; Set-Cookie: b; Upgrade: h2c; Trailer: x; Proxy-Authenticate: x; X-Edge-Explain: x; X-Request-Id: r; Server: s; X_Two: 2")
	if diff := cmp.Diff(parse("Set-Cookie: a; Set-Cookie: b; X-Request-Id: r; Server: s; X_Two: 2"), appendKept(nil, in)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// parse reads "A: b; C: d", where a value may have no "; X: " in it.
func parse(s string) (h exchange.Header) {
	for _, f := range strings.Split(s, "; ") {
		if name, value, ok := strings.Cut(f, ": "); ok {
			h.Add(name, value)
		} else if f != "" {
			h[len(h)-1].Value += "; " + f
		}
	}
	return h
}

func TestForwardingAllocatesNothing(t *testing.T) {
	x := &exchange.Exchange{Request: exchange.Request{Scheme: "http", Host: "a.test", Header: parse("Accept: a; X-B: c; Connection: close; User_Agent: x")}, ClientIP: "192.0.2.1", Memo: &exchange.Memo{}}
	r := relayOf(x)
	dst := make(exchange.Header, 0, 16)
	if got := testing.AllocsPerRun(100, func() { dst = r.appendRequestFields(dst[:0]) }); got > 0 && !raceEnabled {
		t.Errorf("%v allocations", got)
	}
}

// TestTheNodeSeesOnlyWhatTheEdgeWrites compares raw bytes: nothing of the client's own spelling of lines is left.
func TestTheNodeSeesOnlyWhatTheEdgeWrites(t *testing.T) {
	e := newEdge(t)
	got := make(chan string, 1)
	e.rawNode("n1", "web", func(c *testnet.Conn) {
		head := c.ReadUntil("\r\n\r\n")
		got <- head + c.ReadUntil("0\r\n\r\n")
		c.Send("HTTP/1.1 204 No Content\r\n\r\n")
	})
	c := testnet.Dial(t, e.addr)
	c.Send("\r\nPOST http://a.test/x?y HTTP/1.1\r\nTransfer-Encoding:CHUNKED\r\nhost:  a.test\t\r\nX:\ty  \r\n\r\n003;ext=1\r\nabc\r\n000\r\n\r\n")
	want := "POST /x?y HTTP/1.1\r\nHost: a.test\r\nX: y\r\nX-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: a.test\r\n" +
		"Forwarded: for=127.0.0.1;host=\"a.test\";proto=http\r\nVia: 1.1 meridian\r\nX-Request-Id: ID\r\n" +
		"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
	if diff := cmp.Diff(want, regexp.MustCompile("[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}").ReplaceAllString(<-got, "ID")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestOfARefusedRequestTheNodeSeesNothing sends requests of which the first is refused and the second must never be read.
func TestOfARefusedRequestTheNodeSeesNothing(t *testing.T) {
	e := newEdge(t)
	n := e.rawNode("n1", "web", func(c *testnet.Conn) { t.Errorf("the node got %q", c.ReadUntil("\r\n\r\n")) })
	const rest = "GET /smug HTTP/1.1\r\nHost: a.test\r\n\r\n"
	for _, in := range []string{
		"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: identity\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n0;\x00\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n1 \r\nx\r\n0\r\n\r\n",
		"GET / HTTP/1.1\nHost: a.test\n\n",
		"GET / HTTP/1.1\r\nHost: u@a.test\r\n\r\n",
		"GET /a/%2e%2e/admin HTTP/1.1\r\nHost: a.test\r\n\r\n",
		"CONNECT a.test:80 HTTP/1.1\r\nHost: a.test:80\r\n\r\n",
		"GET / HTTP/9.9\r\nHost: a.test\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a.test\r\nExpect: y 100-continue\r\n\r\n",
	} {
		c := testnet.Dial(t, e.addr)
		c.Send(in + rest)
		got, _ := c.ReadAll()
		if status := got[:min(len(got), 10)]; status < "HTTP/1.1 4" || status > "HTTP/1.1 6" || strings.Count(got, "HTTP/1.1 ") != 1 {
			t.Errorf("%q: got %q", in, got)
		}
	}
	if n.Accepted() != 0 {
		t.Errorf("the node has had %d connections", n.Accepted())
	}
}
