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

func TestABodyThatIsTooLongReachesNoNode(t *testing.T) {
	e := newEdge(t)
	e.set.Put(&topology.Route{Name: "web", Pool: "web", MaxBodyBytes: 10})
	n := e.rawNode("n1", "web", func(c *testnet.Conn) { t.Errorf("the node got %q", c.ReadUntil("\r\n\r\n")) })
	for _, body := range []string{
		"Content-Length: 11\r\n\r\n", "Content-Length: 9223372036854775807\r\n\r\n",
		"Transfer-Encoding: chunked\r\n\r\nb\r\n12345678901\r\n0\r\n\r\n",
	} {
		c := testnet.Dial(t, e.addr)
		c.Send("POST / HTTP/1.1\r\nHost: a.test\r\n" + body)
		if got, _ := c.ReadAll(); !strings.HasPrefix(got, "HTTP/1.1 413 ") || !strings.Contains(got, "Connection: close\r\n") {
			t.Errorf("%q: got %q", body, got)
		}
	}
	if n.Accepted() > 0 {
		t.Errorf("the node has had %d connections", n.Accepted())
	}
}

func TestABodyThatGrowsTooLongIsBrokenOffAtTheNode(t *testing.T) {
	e := newEdge(t)
	e.set.Put(&topology.Route{Name: "web", Pool: "web", MaxBodyBytes: 10})
	rest := make(chan string, 1)
	e.rawNode("n1", "web", func(c *testnet.Conn) {
		c.ReadUntil("1234567890\r\n")
		got, _ := c.ReadAll()
		rest <- got
	})
	c := testnet.Dial(t, e.addr)
	c.Send("POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\na\r\n1234567890\r\n")
	testnet.Wait(t, "the node to have it", func() bool { return e.table.Load("n1").InFlight == 1 })
	c.Send("1\r\nx\r\n0\r\n\r\n")
	if got, _ := c.ReadAll(); !strings.HasPrefix(got, "HTTP/1.1 413 ") {
		t.Errorf("got %q", got)
	}
	select {
	case got := <-rest:
		if got != "" {
			t.Errorf("the node got %q behind", got)
		}
	default: // all of it had come before a node was asked
	}
}

func TestABodyThatJustFitsPasses(t *testing.T) {
	e := newEdge(t)
	e.set.Put(&topology.Route{Name: "web", Pool: "web", MaxBodyBytes: 10})
	e.httpNode("n1", "web", func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) })
	for _, body := range []string{"Content-Length: 10\r\n\r\n1234567890", "Transfer-Encoding: chunked\r\n\r\na\r\n1234567890\r\n0\r\n\r\n"} {
		c := testnet.Dial(t, e.addr)
		c.Send("POST / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n" + body)
		if got, _ := c.ReadAll(); !strings.HasPrefix(got, "HTTP/1.1 200 ") || !strings.Contains(got, "1234567890") {
			t.Errorf("%q: got %q", body, got)
		}
	}
}

func TestAnEncodedSlashReachesOnlyServicesThatWantIt(t *testing.T) {
	e := newEdge(t)
	e.set.Put(&topology.Route{Name: "names", Pool: "web", PathPrefix: "/names", AllowEncodedSlash: true})
	e.httpNode("n1", "web", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.RequestURI) })
	for target, want := range map[string]string{
		"/names/a%2Fb":        "200 /names/a%2Fb",
		"/names/a%2fb?c=%2f":  "200 /names/a%2fb?c=%2f",
		"/names/%252f":        "200 /names/%252f",
		"/a%2fb":              "400 ",
		"/x%20y%2Fb":          "400 ",
		"/names%2fa":          "400 ", // not below /names: the route for the rest has it
		"/names/a%2f..%2fb":   "400 ",
		"/names/..%2f..%2fb":  "400 ",
		"/names/a%5cb":        "400 ",
		"/names/%2e%2e%2fadm": "400 ",
	} {
		c := testnet.Dial(t, e.addr)
		c.Send("GET " + target + " HTTP/1.1\r\nHost: a.test\r\n\r\n")
		head := c.ReadUntil("\r\n\r\n")
		status := strings.TrimPrefix(head, "HTTP/1.1 ")[:4]
		body := ""
		if status == "200 " {
			body = c.ReadUntil(want[4:])
		} else if !strings.Contains(head, "Connection: close\r\n") {
			t.Errorf("%s: the connection stays open: %q", target, head)
		}
		if status+body != want {
			t.Errorf("%s: got %s%s, want %s", target, status, body, want)
		}
	}
}

// TestARequestThatTakesTooLongIsEnded has each part of a request be the slow one.
func TestARequestThatTakesTooLongIsEnded(t *testing.T) {
	for name, c := range map[string]struct{ request, answer, want string }{
		"no answer":      {"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n", "", "HTTP/1.1 504 "},
		"half a body":    {"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nab", "", "HTTP/1.1 504 "},
		"half an answer": {"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", "HTTP/1.1 200 "},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEdge(t)
			e.set.Put(&topology.Route{Name: "web", Pool: "web", Timeouts: topology.Timeouts{Request: topology.Duration(100 * time.Millisecond)}})
			e.rawNode("n1", "web", func(n *testnet.Conn) {
				n.ReadUntil("\r\n\r\n")
				n.Send(c.answer)
				n.ReadAll()
			})
			conn := testnet.Dial(t, e.addr)
			conn.Send(c.request)
			head := conn.ReadUntil("\r\n\r\n")
			if !strings.HasPrefix(head, c.want) {
				t.Fatalf("got %q", head)
			}
			if c.answer != "" {
				if body, _ := conn.ReadAll(); body != "half" {
					t.Errorf("the broken answer went on with %q", body)
				}
			} else if body := conn.ReadUntil("\n"); body != "pool web: the request took longer than 100ms\n" {
				t.Errorf("got %q", body)
			}
			testnet.Wait(t, "the place to be given back", func() bool { return e.table.Load("n1").InFlight == 0 })
			if e.observed() != "" {
				t.Errorf("it is held against the node: %s", e.observed())
			}
		})
	}
}

func TestARequestInTimeIsNotEnded(t *testing.T) {
	e := newEdge(t)
	e.set.Put(&topology.Route{Name: "web", Pool: "web", Timeouts: topology.Timeouts{Request: topology.Duration(time.Hour)}})
	e.httpNode("n1", "web", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "ok") })
	for i := range 20 {
		if status, body, _ := e.ask("GET", fmt.Sprint("/", i), ""); status != 200 || body != "ok" {
			t.Fatalf("got %d %q", status, body)
		}
	}
}

func TestASlowBodyIsAnswered408(t *testing.T) {
	e := newEdge(t, func(c *Config) { c.MinBodyRate = 500 })
	e.set.Put(&topology.Route{Name: "web", Pool: "web", Timeouts: topology.Timeouts{Idle: topology.Duration(50 * time.Millisecond)}})
	e.rawNode("n1", "web", func(c *testnet.Conn) { c.ReadAll() })
	c := testnet.Dial(t, e.addr)
	c.Send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nab")
	if got, _ := c.ReadAll(); !strings.HasPrefix(got, "HTTP/1.1 408 ") || !strings.Contains(got, "Connection: close\r\n") {
		t.Errorf("got %q", got)
	}
}
