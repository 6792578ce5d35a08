// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"meridian/balancer"
	"meridian/internal/testnet"
	"meridian/topology"
)

func TestAStaleConnectionIsFoundBeforeUse(t *testing.T) {
	e := newEdge(t)
	closed := make(chan struct{}, 64)
	e.rawNode("n1", "web", func(c *testnet.Conn) {
		c.ReadUntil("\r\n\r\n")
		c.Send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok") // keep-alive, and closes nevertheless
		c.Close()
		closed <- struct{}{}
	})
	for i := range 20 {
		if status, body, _ := e.ask("POST", "/", "x"); status != 200 || body != "ok" {
			t.Fatalf("request %d: got %d %q", i, status, body)
		}
		<-closed
		testnet.Wait(t, "the connection to be kept", func() bool { return e.s.upstream.Stats().Idle > 0 })
	}
	if got := e.s.upstream.Stats().Stale; got < 19 {
		t.Errorf("%d connections were found stale; want 19", got)
	}
}

// counting is a node that takes connections, reads a request on each, counts it, and closes without an answer. If first is
// set, it answers the first request of a connection.
func counting(count *atomic.Int64, first bool) func(*testnet.Conn) {
	return func(c *testnet.Conn) {
		if first {
			c.ReadUntil("\r\n\r\n")
			c.Send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		}
		if head := c.ReadUntil("\r\n\r\n"); strings.HasSuffix(head, "\r\n\r\n") {
			count.Add(1)
		}
	}
}

func TestRepeatableRequestsAreTriedOnAnotherNodeAndOthersNever(t *testing.T) {
	for _, c := range []struct {
		method, body string
		status       int
		reached      int64
	}{
		{"GET", "", 200, 1}, {"PUT", "x", 200, 1}, {"DELETE", "", 200, 1}, {"POST", "x", 502, 1}, {"PATCH", "", 502, 1},
	} {
		t.Run(c.method, func(t *testing.T) {
			e := newEdge(t)
			var lost, served atomic.Int64
			e.rawNode("bad", "web", counting(&lost, false))
			e.httpNode("good", "web", func(w http.ResponseWriter, r *http.Request) {
				served.Add(1)
				b, _ := io.ReadAll(r.Body)
				fmt.Fprintf(w, "%s%s", r.Method, b)
			})
			e.drainNode("good", true)
			e.drainNode("good", false)
			e.prefer("bad", "good")
			status, body, _ := e.ask(c.method, "/", c.body)
			if status != c.status || lost.Load() != c.reached || status == 200 && (body != c.method+c.body || served.Load() != 1) {
				t.Errorf("got %d %q; the bad node saw %d, the good one %d", status, body, lost.Load(), served.Load())
			}
		})
	}
}

// prefer has the next pick return the first node: the second has requests in flight.
func (e *edge) prefer(first, second topology.NodeID) {
	e.t.Helper()
	for e.table.Load(second).InFlight < 3 {
		l, err := e.table.Bind(second, time.Now())
		if err != nil {
			e.t.Fatal(err)
		}
		e.t.Cleanup(func() { l.Done(time.Now()) })
	}
	if got := e.table.Load(first).InFlight; got != 0 {
		e.t.Fatalf("%s has %d in flight", first, got)
	}
}

func (e *edge) drainNode(name string, on bool) {
	key := topology.Key{Kind: topology.KindDrain, Name: "node/" + name}
	if on {
		e.set.Put(&topology.Drain{Name: key.Name, Created: time.Now()})
	} else {
		delete(e.set, key)
	}
	e.apply()
}

func TestAFailedConnectIsTriedElsewhereWhateverTheMethod(t *testing.T) {
	e := newEdge(t)
	e.node("dead", "web", testnet.Unused(t))
	e.httpNode("good", "web", func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) })
	e.prefer("dead", "good")
	if status, body, _ := e.ask("POST", "/", "hello"); status != 200 || body != "hello" {
		t.Errorf("got %d %q", status, body)
	}
	e.wantObserved("dead connect-failed, good success")
	testnet.Wait(t, "the log line", func() bool { return strings.Contains(e.logged(), `"node":"good","tries":2`) })
}

func TestWithoutANodeTheAnswerIs503AndSaysWhy(t *testing.T) {
	e := newEdge(t)
	status, body, header := e.ask("GET", "/", "")
	if status != 503 || header.Get("Retry-After") == "" || body != "pool web has no node\n" {
		t.Errorf("no node: got %d %q %v", status, body, header)
	}
	e.node("dead", "web", testnet.Unused(t))
	if status, body, header = e.ask("GET", "/", ""); status != 503 || header.Get("Retry-After") == "" || !strings.Contains(body, "pool web") || strings.Contains(body, "127.0.0.1") {
		t.Errorf("no connection: got %d %q %v", status, body, header)
	}
	e.table.SetStanding("dead", balancer.StandingDown)
	if status, body, _ = e.ask("GET", "/", ""); status != 503 || !strings.Contains(body, "no node could be reached") {
		t.Errorf("down, and tried since there is no other: got %d %q", status, body)
	}
	e.set.Put(&topology.Drain{Name: "node/dead", Created: time.Now()})
	e.apply()
	if status, body, _ = e.ask("GET", "/", ""); status != 503 || body != "no node of pool web can be picked: of 1, 1 is draining\n" {
		t.Errorf("drained: got %d %q", status, body)
	}
}

func TestOnAConnectionThatWasUsedBeforeOnlyRepeatableRequestsAreSentAgain(t *testing.T) {
	for method, want := range map[string]struct {
		status int
		seen   int64 // by the node, beyond the first request of each connection
	}{"GET": {200, 1}, "POST": {502, 1}} {
		t.Run(method, func(t *testing.T) {
			e := newEdge(t)
			var lost atomic.Int64
			n := e.rawNode("n1", "web", counting(&lost, true))
			e.ask("GET", "/", "")
			testnet.Wait(t, "the connection to be kept", func() bool { return e.s.upstream.Stats().Idle == 1 })
			if status, _, _ := e.ask(method, "/", ""); status != want.status || lost.Load() != want.seen {
				t.Errorf("got %d, the node read %d requests that it did not answer", status, lost.Load())
			}
			if got := n.Accepted(); method == "POST" && got != 1 {
				t.Errorf("the node has had %d connections: the POST was sent again", got)
			}
		})
	}
}

// TestRepeatableRequestsSurviveANodeThatIsKilledAgainAndAgain kills one of two nodes under load, with all its connections.
func TestRepeatableRequestsSurviveANodeThatIsKilledAgainAndAgain(t *testing.T) {
	e := newEdge(t)
	serve := answering([]byte("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"))
	e.rawNode("steady", "web", serve)
	victim := e.rawNode("victim", "web", serve)
	stop := make(chan struct{})
	var done atomic.Int64
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			c := client(t)
			for {
				select {
				case <-stop:
					return
				default:
				}
				resp, err := c.Get("http://" + e.addr + "/")
				if err != nil {
					t.Error(err)
					return
				}
				body, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if resp.StatusCode != 200 || string(body) != "ok" || err != nil {
					t.Errorf("got %d %q, %v", resp.StatusCode, body, err)
					return
				}
				done.Add(1)
			}
		})
	}
	more := func() {
		before := done.Load()
		testnet.Wait(t, "load to go on", func() bool { return done.Load() > before+30 })
	}
	for range 15 {
		more()
		victim.Close()
		more() // while nothing listens there
		victim = e.rawNode("victim", "web", serve)
	}
	close(stop)
	wg.Wait()
	t.Logf("%d requests", done.Load())
}
