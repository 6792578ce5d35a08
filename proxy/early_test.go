// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"strings"
	"testing"

	"meridian/internal/h3raw"
	"meridian/internal/probes"
	"meridian/internal/testnet"
)

// begun is a request whose head was sent: its outcome can be had before rest sends the body and ends it.
type begun struct {
	outcome func() probes.Outcome
	rest    func(body string)
}

// begin sends a head.
func (c *rawH2) begin(_ testing.TB, head []probes.Field) begun {
	id := c.next
	c.next += 2
	c.writeBlock(id, head, false)
	return begun{func() probes.Outcome { return c.outcome(id) }, func(body string) { c.WriteData(id, true, []byte(body)) }}
}

func (c *rawH3) begin(t testing.TB, head []probes.Field) begun {
	s := c.open()
	s.Write(h3raw.Frame(h3Headers, qpackBlock(head)))
	return begun{func() probes.Outcome { return h3Outcome(s) }, func(body string) {
		s.Write(h3raw.Frame(h3Data, []byte(body)))
		s.Close()
	}}
}

// TestInLaterVersionsAnAnswerBeforeTheBodyEndsTheConnectionToTheNode is the pause-based desync: what the client sends late must be
// nobody's request, and who comes next gets another connection.
func TestInLaterVersionsAnAnswerBeforeTheBodyEndsTheConnectionToTheNode(t *testing.T) {
	e, _ := probesEdge(t)
	n := e.rawNode("n1", "web", func(c *testnet.Conn) {
		if head := c.ReadUntil("\r\n\r\n"); strings.HasPrefix(head, "GET /canary ") {
			c.Send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
			return
		}
		c.Send("HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n")
		if more, _ := c.ReadAll(); strings.Contains(more, "X-Forwarded-For") {
			t.Errorf("the node got %q behind", more)
		}
	})
	h2, h2c, h3 := dialH2(t, e, true), dialH2(t, e, false), dialH3(t, e, true)
	defer h2.Close()
	defer h2c.Close()
	asked := 0
	for name, begin := range map[string]func(testing.TB, []probes.Field) begun{"HTTP/2": h2.begin, "h2c": h2c.begin, "HTTP/3": h3.begin} {
		for _, more := range [][]string{nil, {"content-length", "36"}, {"content-length", "36", "expect", "100-continue"}} {
			q := begin(t, probes.Head("POST", "/redirect", more...))
			if o := q.outcome(); o.Status != 302 {
				t.Errorf("%s %v: got %+v", name, more, o)
			}
			q.rest(probes.Smuggled)
			next := begin(t, probes.Canary.Fields)
			next.rest("")
			if o := next.outcome(); o.Status != 200 {
				t.Errorf("%s %v: the next request got %+v", name, more, o)
			}
			if asked += 2; n.Accepted() != asked {
				t.Errorf("%s %v: the node has had %d connections, want %d", name, more, n.Accepted(), asked)
			}
		}
	}
}
