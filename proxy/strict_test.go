// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"crypto/tls"
	"net"
	"strings"
	"testing"

	"meridian/internal/probes"
	"meridian/internal/testnet"
	"meridian/topology"
)

// transports are the ways in which bytes of HTTP/1.1 can reach an edge. What must be refused must be so on all of them.
var transports = map[string]func(t *testing.T, e *edge) *testnet.Conn{
	"tcp": func(t *testing.T, e *edge) *testnet.Conn { return testnet.Dial(t, e.addr) },
	"tls": func(t *testing.T, e *edge) *testnet.Conn {
		c := testnet.Dial(t, e.secureAddr())
		c.Conn = tls.Client(c.Conn, &tls.Config{InsecureSkipVerify: true, ServerName: "a.test"})
		return c
	},
}

// overEach runs f for each transport, with an edge of its own.
func overEach(t *testing.T, f func(t *testing.T, e *edge, dial func() *testnet.Conn)) {
	for name, connect := range transports {
		t.Run(name, func(t *testing.T) {
			e := newEdge(t, withTLS(t, "a.test"), func(c *Config) { c.AccessLog, c.Managed = nil, []string{"X-Auth-User", "X-Authenticated-User"} })
			f(t, e, func() *testnet.Conn { return connect(t, e) })
		})
	}
}

func TestWhatMustBeRefusedIsAndReachesNoNode(t *testing.T) {
	overEach(t, func(t *testing.T, e *edge, dial func() *testnet.Conn) {
		node := probes.NewRecorder(t)
		e.node("n1", "web", node.Addr)
		probes.RunRefused(t, func() net.Conn { return dial() }, node)
	})
}

func TestAPathIsRefusedOrReachesTheNodeAsItIs(t *testing.T) {
	overEach(t, func(t *testing.T, e *edge, dial func() *testnet.Conn) {
		node := probes.NewRecorder(t)
		e.node("n1", "web", node.Addr)
		ask := func(path string) string {
			c := dial()
			defer c.Close()
			c.Send("GET " + path + " HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n")
			got, _ := c.ReadAll()
			return got
		}
		for _, path := range probes.LiteralPaths {
			if got := ask(path); !strings.HasSuffix(got, "GET "+path+" HTTP/1.1") {
				t.Errorf("%s: got %q", path, got)
			}
		}
		for _, path := range probes.EncodedSlashes {
			if got := ask(path); !strings.HasPrefix(got, "HTTP/1.1 400 ") {
				t.Errorf("%s: got %q", path, got)
			}
		}
		e.set.Put(&topology.Route{Name: "web", Pool: "web", AllowEncodedSlash: true})
		e.apply()
		for _, path := range probes.EncodedSlashes {
			if got := ask(path); !strings.HasSuffix(got, "GET "+path+" HTTP/1.1") {
				t.Errorf("%s, allowed: got %q", path, got)
			}
		}
		node.Take()
		for _, path := range probes.Paths {
			if got := ask(path); !strings.HasPrefix(got, "HTTP/1.1 400 ") {
				t.Errorf("%s, where %%2F is allowed: got %q", path, got)
			}
		}
		if seen, bytes := node.Take(); bytes > 0 {
			t.Errorf("the node got %d bytes, %+v", bytes, seen)
		}
	})
}

func TestNoFieldPassesByWhichAClientIsAnother(t *testing.T) {
	overEach(t, func(t *testing.T, e *edge, dial func() *testnet.Conn) {
		node := probes.NewRecorder(t)
		e.node("n1", "web", node.Addr)
		var fields strings.Builder
		for _, f := range probes.Spoofed {
			fields.WriteString(f.Name + ": " + f.Value + "\r\n")
		}
		for name, request := range map[string]string{
			"head":    "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close, X-Forwarded-For, x-real-ip, X-Forwarded-Proto, Host, Content-Length, Authorization, Cookie\r\nAuthorization: a\r\nCookie: b\r\n" + fields.String() + "\r\n",
			"trailer": "POST / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\nAuthorization: a\r\nCookie: b\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\n" + fields.String() + "\r\n",
		} {
			c := dial()
			c.Send(request)
			got, _ := c.ReadAll()
			seen, _ := node.Take()
			if len(seen) != 1 {
				t.Fatalf("%s: got %q, the node saw %+v", name, got, seen)
			}
			for k, v := range seen[0].Header {
				if all := strings.Join(v, " "); strings.Contains(all, "evil") || strings.Contains(all, "6.6.6.6") || len(v) > 1 {
					t.Errorf("%s: the node got %s: %q", name, k, v)
				}
			}
			for k := range seen[0].Trailer {
				t.Errorf("%s: the node got the trailer %s", name, k)
			}
			if h := seen[0].Header; h.Get("Authorization") != "a" || h.Get("Cookie") != "b" || h.Get("X-Forwarded-For") != "127.0.0.1" || seen[0].Host != "a.test" {
				t.Errorf("%s: the node got %v for %s", name, h, seen[0].Host)
			}
		}
	})
}

func TestPipelinedRequestsGetTheirAnswersInOrderWhereverTheyAreSplit(t *testing.T) {
	overEach(t, func(t *testing.T, e *edge, dial func() *testnet.Conn) {
		node := probes.NewRecorder(t)
		e.node("n1", "web", node.Addr)
		const both = "GET /1 HTTP/1.1\r\nHost: a.test\r\n\r\nGET /2 HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n"
		for at := range len(both) {
			c := dial()
			c.Send(both[:at])
			c.Send(both[at:])
			got, _ := c.ReadAll()
			first, second := strings.Index(got, "GET /1 HTTP/1.1"), strings.Index(got, "GET /2 HTTP/1.1")
			if first < 0 || second < first || strings.Count(got, "HTTP/1.1 200 ") != 2 {
				t.Errorf("split at %d: got %q", at, got)
			}
			c.Close()
		}
	})
}

// TestAnAnswerBeforeTheBodyEndsBothConnections is the pause-based desync: what the client sends late must be nobody's request.
func TestAnAnswerBeforeTheBodyEndsBothConnections(t *testing.T) {
	for name, head := range map[string]string{
		"length":  "POST /redirect HTTP/1.1\r\nHost: a.test\r\nContent-Length: 36\r\n\r\n",
		"chunked": "POST /redirect HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n",
	} {
		overEach(t, func(t *testing.T, e *edge, dial func() *testnet.Conn) {
			n := e.rawNode("n1", "web", func(c *testnet.Conn) {
				c.ReadUntil("\r\n\r\n")
				c.Send("HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n")
				// As the body of the first request it may come, not as one that the edge has read as a request.
				if more, _ := c.ReadAll(); strings.Contains(more, "X-Forwarded-For") {
					t.Errorf("%s: the node got %q behind", name, more)
				}
			})
			c := dial()
			c.Send(head)
			if got := c.ReadUntil("\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 302 ") || !strings.Contains(got, "Connection: close\r\n") {
				t.Fatalf("%s: got %q", name, got)
			}
			c.Send(smuggled)
			if got, _ := c.ReadAll(); got != "" {
				t.Errorf("%s: a second answer: %q", name, got)
			}
			testnet.Wait(t, "the place to be given back", func() bool { return e.table.Load("n1").InFlight == 0 })
			if got := n.Accepted(); got != 1 {
				t.Errorf("%s: the node has had %d connections", name, got)
			}
		})
	}
}
