// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"meridian/internal/testnet"
	"meridian/topology"
)

func nodeKey(name string) topology.Key { return topology.Key{Kind: topology.KindNode, Name: name} }

func TestAnAnswerThatBreaksOffIsNeverDeliveredAsWhole(t *testing.T) {
	for name, answer := range map[string]string{
		"length":             "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf",
		"chunked":            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
		"until close, reset": "HTTP/1.1 200 OK\r\n\r\nhalf",
	} {
		for _, version := range []string{"1.1", "1.0"} {
			t.Run(name+" to "+version, func(t *testing.T) {
				seen := make(chan struct{})
				e := newEdge(t)
				e.rawNode("n1", "web", func(c *testnet.Conn) {
					c.ReadUntil("\r\n\r\n")
					c.Send(answer)
					<-seen
					c.Reset()
				})
				c := testnet.Dial(t, e.addr)
				c.Send("GET / HTTP/" + version + "\r\nHost: a.test\r\n\r\n")
				head := c.ReadUntil("\r\n\r\n")
				c.ReadUntil("half")
				close(seen)
				rest, clean := c.ReadAll()
				whole := strings.Contains(head, "chunked") && strings.HasSuffix(rest, "0\r\n\r\n") || strings.Contains(head, " 200 ") &&
					!strings.Contains(head, "chunked") && !strings.Contains(head, "Content-Length") && clean
				if head == "" || whole {
					t.Errorf("the client could take %q … %q for whole", head, rest)
				}
				e.wantObserved("n1 gateway-error")
			})
		}
	}
}

func TestMalformedAnswersGive502AndTheirConnectionIsNotUsedAgain(t *testing.T) {
	for name, answer := range map[string]string{
		"two lengths":  "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
		"101":          "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n",
		"garbage":      "hello\r\n\r\n",
		"broken chunk": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nx\r\n0\r\n\r\n",
		"bare CR":      "HTTP/1.1 200 OK\r\nX: a\rSet-Cookie: x\r\nContent-Length: 0\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			e := newEdge(t)
			e.rawNode("n1", "web", func(c *testnet.Conn) {
				c.ReadUntil("\r\n\r\n")
				c.Send(answer)
				c.ReadAll()
			})
			status, body, _ := e.ask("GET", "/", "", "Accept", "application/json")
			if status != 502 || !strings.Contains(body, `"error":"pool web: the node's answer `) || strings.Contains(body, "127.0.0.1") {
				t.Errorf("got %d %q", status, body)
			}
			if got := e.s.upstream.Stats().Idle; got != 0 {
				t.Errorf("%d connections were kept", got)
			}
		})
	}
}

func TestBytesBehindAnAnswerReachNobody(t *testing.T) {
	e := newEdge(t)
	n := e.rawNode("n1", "web", func(c *testnet.Conn) {
		c.ReadUntil("\r\n\r\n")
		c.Send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
		c.ReadAll()
	})
	for range 3 {
		if _, body, _ := e.ask("GET", "/", ""); body != "ok" {
			t.Fatalf("got %q", body)
		}
	}
	if got := n.Accepted(); got != 3 {
		t.Errorf("the node has had %d connections for 3 requests", got)
	}
}

func TestANodeThatSaysNothingGives504(t *testing.T) {
	e := newEdge(t)
	e.set.Put(&topology.Route{Name: "web", Pool: "web", Timeouts: topology.Timeouts{FirstByte: topology.Duration(30 * time.Millisecond)}})
	e.rawNode("n1", "web", func(c *testnet.Conn) { c.ReadAll() })
	if status, body, _ := e.ask("GET", "/", ""); status != 504 || body != "pool web: the node did not answer within 30ms\n" {
		t.Errorf("got %d %q", status, body)
	}
	// The request's own time does not count: its body comes only after the timeout would have passed.
	c := testnet.Dial(t, e.addr)
	c.Send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1\r\n\r\n")
	began := time.Now()
	testnet.Wait(t, "twice the timeout to pass", func() bool { return time.Since(began) > 60*time.Millisecond })
	c.Send("x")
	if got := c.ReadUntil("\r\n"); got != "HTTP/1.1 504 Gateway Timeout\r\n" {
		t.Errorf("got %q", got)
	}
}

func TestAClientThatLeavesIsSeenByTheNode(t *testing.T) {
	for name, c := range map[string]struct{ request, answer string }{
		"before the answer":           {"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n", ""},
		"amid a silent stream":        {"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: x\n\n"},
		"after a body that came late": {"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3\r\n\r\nabc", ""},
		"amid its body":               {"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 9\r\n\r\nabc", ""},
		"with a request behind":       {"GET / HTTP/1.1\r\nHost: a.test\r\n\r\nGET /2 HTTP/1.1\r\n", ""},
	} {
		for _, reset := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, reset %v", name, reset), func(t *testing.T) {
				e := newEdge(t)
				asked, left := make(chan struct{}), make(chan struct{})
				e.rawNode("n1", "web", func(n *testnet.Conn) {
					n.ReadUntil("\r\n\r\n")
					n.Send(c.answer)
					close(asked)
					n.ReadAll() // until the edge closes
					close(left)
				})
				conn := testnet.Dial(t, e.addr)
				head, body, _ := strings.Cut(c.request, "\r\n\r\n")
				conn.Send(head + "\r\n\r\n")
				<-asked
				conn.Send(body)
				if c.answer != "" {
					conn.ReadUntil("data: x")
				}
				if reset {
					conn.Reset()
				} else {
					conn.Close()
				}
				<-left
				testnet.Wait(t, "the outcome", func() bool { return e.observed() == "n1 client-gone" })
				testnet.Wait(t, "the place to be given back", func() bool {
					l := e.table.Load("n1")
					return l.InFlight == 0 && l.Streams == 0
				})
			})
		}
	}
}

func TestANodeThatDiesAmidAnUploadGives502(t *testing.T) {
	e := newEdge(t)
	e.rawNode("n1", "web", func(c *testnet.Conn) {
		c.ReadUntil("abc")
		c.Reset()
	})
	c := testnet.Dial(t, e.addr)
	c.Send("PUT / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 9\r\n\r\nabc")
	if got, _ := c.ReadAll(); !strings.HasPrefix(got, "HTTP/1.1 502 ") {
		t.Errorf("got %q", got)
	}
	e.wantObserved("n1 gateway-error")
}

func TestANodeThatAnswersAndReadsNoMoreEndsTheUpload(t *testing.T) {
	e := newEdge(t)
	answered := make(chan struct{})
	e.rawNode("n1", "web", func(c *testnet.Conn) {
		c.ReadUntil("\r\n\r\n")
		<-answered // the edge's writes have filled the buffers by then
		c.Send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig")
		c.ReadUntil("never")
	})
	c := testnet.Dial(t, e.addr)
	c.Send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1000000000\r\n\r\n")
	full := make(chan struct{})
	go func() { // writes until nobody takes more, and then until the edge closes
		defer close(full)
		chunk := strings.Repeat("x", 1<<20)
		for i := 0; c.Send(chunk) == nil; i++ {
			if i == 1 {
				close(answered)
			}
		}
	}()
	if got := c.ReadUntil("big"); !strings.HasPrefix(got, "HTTP/1.1 413 ") || !strings.Contains(got, "Connection: close\r\n") {
		t.Errorf("got %q", got)
	}
	<-full
}

func TestBrokenRequestBodiesAreRefused(t *testing.T) {
	e := newEdge(t)
	e.httpNode("n1", "web", func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.ReadAll(r.Body); err == nil {
			t.Error("the node got a whole body")
		}
	})
	c := testnet.Dial(t, e.addr)
	c.Send("POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nX\r\n")
	if got, _ := c.ReadAll(); !strings.HasPrefix(got, "HTTP/1.1 400 ") || !strings.Contains(got, "body is malformed") {
		t.Errorf("got %q", got)
	}
}
