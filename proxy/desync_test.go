// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"fmt"
	"strings"
	"testing"

	"meridian/internal/testnet"
)

// smuggled is 36 bytes that look like a request and are a body.
const smuggled = "GET /smug HTTP/1.1\r\nHost: a.test\r\n\r\n"

func TestABodyThatComesLateIsABody(t *testing.T) {
	overEach(t, func(t *testing.T, e *edge, dial func() *testnet.Conn) {
		asked := make(chan struct{})
		e.rawNode("n1", "web", func(c *testnet.Conn) {
			c.ReadUntil("\r\n\r\n")
			close(asked)
			body := c.ReadUntil("\r\n\r\n")
			c.Send(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body))
			if more := c.ReadUntil("\r\n\r\n"); strings.Contains(more, "smug") {
				t.Errorf("the node got a second request %q", more)
			}
		})
		c := dial()
		c.Send("POST / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\nContent-Length: 36\r\n\r\n")
		<-asked
		c.Send(smuggled)
		if got, _ := c.ReadAll(); strings.Count(got, "HTTP/1.1 200 OK") != 1 || !strings.HasSuffix(got, "\r\n\r\n"+smuggled) {
			t.Errorf("got %q", got)
		}
	})
}

func TestAnAnswerToExpectWithoutReadingTheBodyEndsTheConnections(t *testing.T) {
	overEach(t, func(t *testing.T, e *edge, dial func() *testnet.Conn) {
		n := e.rawNode("n1", "web", func(c *testnet.Conn) {
			if head := c.ReadUntil("\r\n\r\n"); strings.Contains(head, "Expect") {
				t.Errorf("the node got %q", head)
			}
			c.Send("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n")
			if more := c.ReadUntil("\r\n\r\n"); strings.Contains(more, "X-Forwarded-For") {
				t.Errorf("the node got a second request %q", more)
			}
		})
		c := dial()
		c.Send("POST / HTTP/1.1\r\nHost: a.test\r\nExpect: 100-continue\r\nContent-Length: 36\r\n\r\n")
		if got := c.ReadUntil("\r\n\r\n"); got != "HTTP/1.1 100 Continue\r\n\r\n" {
			t.Fatalf("got %q", got)
		}
		if got := c.ReadUntil("\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 401 ") || !strings.Contains(got, "Connection: close\r\n") {
			t.Fatalf("got %q", got)
		}
		c.Send(smuggled)
		if got, _ := c.ReadAll(); got != "" {
			t.Errorf("a second answer: %q", got)
		}
		if n.Accepted() != 1 {
			t.Errorf("the node has had %d connections", n.Accepted())
		}
		testnet.Wait(t, "the connection not to be kept", func() bool { return e.table.Load("n1").InFlight == 0 && e.s.upstream.Stats().Idle == 0 })
	})
}

func TestABodyBehindAnAnswerThatHasNoneLeaksToNobody(t *testing.T) {
	for _, c := range []struct{ method, head string }{
		{"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n"}, {"GET", "HTTP/1.1 204 No Content\r\n\r\n"},
		{"GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\n"},
	} {
		t.Run(c.method+c.head[8:12], func(t *testing.T) {
			e := newEdge(t)
			evil, sent := make(chan struct{}), make(chan struct{})
			e.rawNode("n1", "web", func(conn *testnet.Conn) {
				if first := conn.ReadUntil("\r\n\r\n"); strings.Contains(first, "/canary") {
					conn.Send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood")
					return
				}
				conn.Send(c.head)
				<-evil
				conn.Send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil") // after the connection was given back
				close(sent)
				conn.ReadAll()
			})
			e.ask(c.method, "/", "")
			testnet.Wait(t, "the connection to be kept", func() bool { return e.s.upstream.Stats().Idle == 1 })
			close(evil)
			<-sent
			if _, body, _ := e.ask("GET", "/canary", ""); body != "good" {
				t.Errorf("the next client got %q", body)
			}
		})
	}
}
