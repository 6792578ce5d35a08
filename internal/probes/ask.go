// SPDX-License-Identifier: Apache-2.0

package probes

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
)

// Outcome is how a message ended for the client that sent it.
type Outcome struct {
	// Status is that of the answer, 0 without one.
	Status int
	// Body is the answer's.
	Body string
	// Malformed says that the stream was reset, by the code that a version has for malformed messages.
	Malformed bool
	// Reset is the code of a reset, if the stream was reset.
	Reset uint64
	// Else says what ended it otherwise.
	Else string
}

// Engine is a client of one version of HTTP that sends every message as it is.
type Engine struct {
	Name string
	// HTTP1 says that Ask sends what Message.HTTP1 makes, with Smuggled behind it, and that the connection must end.
	HTTP1, Secure bool
	// Ask sends a message, on a connection that others have used if there is one.
	Ask func(*Message) Outcome
	// Departs are messages that this version takes although they are to be refused, by their names, each with why nothing comes of
	// it: the node must then get one whole request, with the body as it is.
	Departs map[string]string
}

// Canary is a request that is served. It is sent behind each message, and clients send it between the parts of one that is Late.
var Canary = Message{Name: "canary", Fields: Head("GET", "/canary")}

const canaryLine = "GET /canary HTTP/1.1"

// RunMessages sends each message that must be refused. The node may not see a byte of it, or of those whose head is right no
// whole request; and what comes next on the connection must be served.
func RunMessages(t *testing.T, e *Engine, node *Recorder) {
	departed := map[string]bool{}
	messages := Messages()
	slices.SortStableFunc(messages, func(a, b Message) int { // what is left of a broken body may reach the node when the next message is on its way
		switch {
		case a.Late == b.Late:
			return 0
		case a.Late:
			return 1
		}
		return -1
	})
	for _, m := range messages {
		if m.Later && e.HTTP1 || m.Secure && !e.Secure {
			continue
		}
		node.Take()
		got := e.Ask(&m)
		seen, bytes := node.Take()
		seen = slices.DeleteFunc(seen, func(s Seen) bool { return s.Line == canaryLine })
		if why, ok := e.Departs[m.Name]; ok {
			departed[m.Name] = true
			if got.Status != 200 || len(seen) != 1 || seen[0].Body != strings.Join(m.Body, "") {
				t.Errorf("%s: got %+v, the node %+v; it is listed as taken, since %s", m.Name, got, seen, why)
			}
			continue
		}
		if !m.refused(got) {
			t.Errorf("%s: got %+v, want %v", m.Name, got, m.Status)
		}
		if len(seen) > 0 || bytes > 0 && !m.Late {
			t.Errorf("%s: the node got %d bytes, %+v", m.Name, bytes, seen)
		}
		next := e.Ask(&Canary)
		seen, _ = node.Take()
		if next.Status != 200 || len(seen) != 1 || seen[0].Line != canaryLine {
			t.Errorf("after %s: got %+v, the node %+v", m.Name, next, seen)
		}
	}
	for name := range e.Departs {
		if !departed[name] {
			t.Errorf("%s is listed as taken, and is no message", name)
		}
	}
}

// refused reports whether o is a refusal that fits.
func (m *Message) refused(o Outcome) bool {
	want := m.Status
	if len(want) == 0 {
		want = []int{400}
	}
	if o.Malformed {
		return slices.Contains(want, 400)
	}
	return o.Else == "" && slices.Contains(want, o.Status)
}

// AskHTTP1 makes an Engine's Ask of a way to connect.
func AskHTTP1(t *testing.T, dial func() net.Conn) func(*Message) Outcome {
	return func(m *Message) Outcome {
		if m == &Canary {
			return taken(t, dial())
		}
		got := exchange(t, dial(), m.HTTP1()+Smuggled)
		var o Outcome
		if _, err := fmt.Sscanf(got, "HTTP/1.1 %d ", &o.Status); err != nil || strings.Count("\n"+got, "\nHTTP/1.1 ") != 1 {
			o.Else = fmt.Sprintf("%q instead of one answer", got)
		}
		return o
	}
}

// taken sends the canary.
func taken(t *testing.T, c net.Conn) (o Outcome) {
	got := exchange(t, c, strings.TrimSuffix(canary, "\r\n")+"Connection: close\r\n\r\n")
	fmt.Sscanf(got, "HTTP/1.1 %d ", &o.Status)
	_, o.Body, _ = strings.Cut(got, "\r\n\r\n")
	return o
}
