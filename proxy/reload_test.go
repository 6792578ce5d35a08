// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"meridian/internal/testnet"
)

// change puts another configuration in force.
func (e *edge) change(f func(*Config)) error {
	c := *e.s.live.Load()
	f(&c)
	ch, err := e.s.Prepare(c)
	if err != nil {
		return err
	}
	ch.Commit()
	return nil
}

// eventNode adds a node with streams: it sends what comes over events.
func eventNode(e *edge, events <-chan string) {
	e.httpNode("n1", "web", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/events" {
			io.WriteString(w, "ok")
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		for {
			w.(http.Flusher).Flush()
			select {
			case s := <-events:
				io.WriteString(w, s)
			case <-r.Context().Done():
				return
			}
		}
	})
}

// TestListenersComeAndGoAndTheOthersKeepTheirStreams is a reload as the wiring does it.
func TestListenersComeAndGoAndTheOthersKeepTheirStreams(t *testing.T) {
	stays, goes := testnet.Unused(t), testnet.Unused(t)
	e := newEdge(t, func(c *Config) { c.Listen = []string{stays, goes} })
	events := make(chan string)
	eventNode(e, events)
	stream, old := testnet.Dial(t, stays), testnet.Dial(t, goes)
	stream.Send("GET /events HTTP/1.1\r\nHost: a.test\r\n\r\n")
	stream.ReadUntil("\r\n\r\n")
	old.Send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
	old.ReadUntil("ok")

	comes := testnet.Unused(t)
	if err := e.change(func(c *Config) { c.Listen = []string{comes, stays} }); err != nil {
		t.Fatal(err)
	}
	if rest, clean := old.ReadAll(); rest != "" || !clean {
		t.Errorf("the idle connection of the listener that went ended with %q, clean: %v", rest, clean)
	}
	if _, err := net.DialTimeout("tcp", goes, time.Second); err == nil {
		t.Error("the listener that went still takes connections")
	}
	fresh := testnet.Dial(t, comes)
	fresh.Send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
	if got := fresh.ReadUntil("ok"); !strings.HasPrefix(got, "HTTP/1.1 200 ") {
		t.Errorf("the new listener's client got %q", got)
	}
	events <- "data: still here\n\n"
	if got := stream.ReadUntil("still here"); !strings.HasSuffix(got, "still here") {
		t.Errorf("the stream got %q", got)
	}
	if got := e.s.Addrs(); got[0].String() != comes || got[1].String() != stays {
		t.Errorf("Addrs: %v", got)
	}
}

// TestAStreamOfAListenerThatWentIsCutAtTheDeadline holds that a drain ends.
func TestAStreamOfAListenerThatWentIsCutAtTheDeadline(t *testing.T) {
	stays, goes := testnet.Unused(t), testnet.Unused(t)
	e := newEdge(t, func(c *Config) { c.Listen = []string{stays, goes} })
	eventNode(e, nil)
	stream := testnet.Dial(t, goes)
	stream.Send("GET /events HTTP/1.1\r\nHost: a.test\r\n\r\n")
	stream.ReadUntil("\r\n\r\n")
	if err := e.change(func(c *Config) { c.Listen, c.Deadline = []string{stays}, 20*time.Millisecond }); err != nil {
		t.Fatal(err)
	}
	if rest, _ := stream.ReadAll(); strings.HasSuffix(rest, "0\r\n\r\n") {
		t.Errorf("the cut stream looks whole: %q", rest)
	}
}

func TestAnAddressThatIsTakenChangesNothing(t *testing.T) {
	e := newEdge(t)
	e.httpNode("n1", "web", func(w http.ResponseWriter, _ *http.Request) {})
	taken := testnet.Listen(t, func(*testnet.Conn) {})
	free := testnet.Unused(t)
	err := e.change(func(c *Config) { c.Listen = []string{free, taken.Addr}; c.Limits.HeadBytes = 1024 })
	if err == nil || !strings.Contains(err.Error(), taken.Addr) {
		t.Fatalf("got %v", err)
	}
	if ln, err := net.Listen("tcp", free); err != nil {
		t.Errorf("the free address was kept: %v", err)
	} else {
		ln.Close()
	}
	if status, _, _ := e.ask("GET", "/", "", "X", strings.Repeat("x", 2000)); status != 200 {
		t.Errorf("got %d: the limit has changed", status)
	}
}

// syncBuffer is a bytes.Buffer that two goroutines may use.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func TestLimitsAndAccessLogChangeLive(t *testing.T) {
	e := newEdge(t)
	e.httpNode("n1", "web", func(w http.ResponseWriter, _ *http.Request) {})
	other := &syncBuffer{}
	if err := e.change(func(c *Config) { c.Limits.HeadBytes, c.AccessLog = 1024, other }); err != nil {
		t.Fatal(err)
	}
	if status, _, _ := e.ask("GET", "/", "", "X", strings.Repeat("x", 2000)); status != 431 {
		t.Errorf("got %d, want 431", status)
	}
	testnet.Wait(t, "the line in the new log", func() bool { return strings.Contains(other.String(), `"status":431`) })
	if err := e.change(func(c *Config) { c.AccessLog = nil }); err != nil {
		t.Fatal(err)
	}
	e.ask("GET", "/off", "")
	testnet.Wait(t, "the request to be over, which is after its answer", func() bool { return e.s.metrics.inFlight.Load() == 0 })
	if err := e.change(func(c *Config) { c.AccessLog = other }); err != nil {
		t.Fatal(err)
	}
	e.ask("GET", "/on", "")
	testnet.Wait(t, "lines again", func() bool { return strings.Contains(other.String(), `"path":"/on"`) })
	if strings.Contains(other.String()+e.logged(), `"path":"/off"`) {
		t.Error("a line was written while the log was off")
	}
}

// TestPolicyChangesLive is about what is asked for with each request: whose word is taken, what nodes may answer.
func TestPolicyChangesLive(t *testing.T) {
	e := newEdge(t)
	e.httpNode("n1", "web", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close")
		if r.URL.Path == "/big" {
			w.Header().Set("X", strings.Repeat("x", 2000))
		}
		io.WriteString(w, r.Header.Get("X-Forwarded-For")+" "+r.Header.Get("X-Auth-User"))
	})
	ask := func(path string) string {
		t.Helper()
		status, body, _ := e.ask("GET", path, "", "X-Forwarded-For", "1.1.1.1", "X-Auth-User", "u")
		return fmt.Sprint(status, " ", body)
	}
	if got := ask("/") + ", " + ask("/big"); got != "200 127.0.0.1 u, 200 127.0.0.1 u" {
		t.Fatalf("before: %s", got)
	}
	if err := e.change(func(c *Config) { c.Limits.HeadBytes, c.Managed = 1024, []string{"X-Auth-User"} }); err != nil {
		t.Fatal(err)
	}
	if got := ask("/"); got != "200 127.0.0.1 " {
		t.Errorf("with a managed name: %s", got)
	}
	if got := ask("/big"); !strings.HasPrefix(got, "502 ") {
		t.Errorf("with a smaller limit: %s", got)
	}
	if err := e.change(func(c *Config) { c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} }); err != nil {
		t.Fatal(err)
	}
	if got := ask("/"); got != "200 1.1.1.1, 127.0.0.1 u" {
		t.Errorf("from a trusted proxy: %s", got)
	}
	testnet.Wait(t, "the client in the log", func() bool { return strings.Contains(e.logged(), `"client":"1.1.1.1"`) })
}
