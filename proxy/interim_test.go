// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"strings"
	"testing"

	"meridian/internal/testnet"
)

func TestInterimAnswersComeBeforeTheAnswerIsThere(t *testing.T) {
	for version, want := range map[string]string{
		"1.1": "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n",
		"1.0": "",
	} {
		t.Run(version, func(t *testing.T) {
			e := newEdge(t)
			seen := make(chan struct{})
			e.rawNode("n1", "web", func(c *testnet.Conn) {
				c.ReadUntil("\r\n\r\n")
				c.Send("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\nConnection: x\r\nX: y\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n")
				<-seen
				c.Send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
			})
			c := testnet.Dial(t, e.addr)
			c.Send("GET / HTTP/" + version + "\r\nHost: a.test\r\n\r\n")
			got := ""
			for len(got) < len(want) {
				got += c.ReadUntil("\r\n\r\n")
			}
			if got != want {
				t.Errorf("got %q, want %q", got, want)
			}
			close(seen)
			if got := c.ReadUntil("ok"); !strings.HasPrefix(got, "HTTP/1.1 200 OK\r\n") {
				t.Errorf("got %q", got)
			}
		})
	}
}

func TestInterimAnswersWithoutEndAreABadGateway(t *testing.T) {
	e := newEdge(t)
	e.rawNode("n1", "web", func(c *testnet.Conn) {
		c.ReadUntil("\r\n\r\n")
		for c.Send("HTTP/1.1 103 Early Hints\r\n\r\n") == nil {
		}
	})
	c := testnet.Dial(t, e.addr)
	c.Send("GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n")
	got, _ := c.ReadAll()
	if n := strings.Count(got, "HTTP/1.1 103 "); n > 17 || !strings.Contains(got, "HTTP/1.1 502 ") {
		t.Errorf("%d interim answers, then %q", n, got[strings.LastIndex(got, "HTTP/1.1"):])
	}
}

func TestAnAnswerThatEndsAfterAnInterimOneIsNotRepeated(t *testing.T) {
	e := newEdge(t)
	n := e.rawNode("n1", "web", func(c *testnet.Conn) {
		c.ReadUntil("\r\n\r\n")
		c.Send("HTTP/1.1 103 Early Hints\r\n\r\n")
	})
	c := testnet.Dial(t, e.addr)
	c.Send("GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n")
	if got, _ := c.ReadAll(); !strings.HasPrefix(got, "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 502 ") || n.Accepted() != 1 {
		t.Errorf("got %q; the node had %d connections", got, n.Accepted())
	}
}
