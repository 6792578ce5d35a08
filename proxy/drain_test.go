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

	"meridian/internal/testnet"
	"meridian/proxy/exchange"
	"meridian/topology"
)

// TestDrainingUnderLoadFailsNothing drains one node after the other, back and forth, and checks that each is quiet once its
// count is zero.
func TestDrainingUnderLoadFailsNothing(t *testing.T) {
	e := newEdge(t)
	var quiet [3]atomic.Bool
	for i := range quiet {
		e.httpNode(fmt.Sprintf("n%d", i), "web", func(w http.ResponseWriter, r *http.Request) {
			if quiet[i].Load() {
				t.Errorf("n%d got a request after its drain was empty", i)
			}
			b, _ := io.ReadAll(r.Body)
			w.Write(b)
		})
	}
	stop := make(chan struct{})
	var done atomic.Int64
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			c := client(t)
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				body := fmt.Sprintf("%d-%d", worker, i)
				resp, err := c.Post("http://"+e.addr+"/", "text/plain", strings.NewReader(body))
				if err != nil {
					t.Error(err)
					return
				}
				got, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if resp.StatusCode != 200 || string(got) != body || err != nil {
					t.Errorf("got %d %q, %v, want %q", resp.StatusCode, got, err, body)
					return
				}
				done.Add(1)
			}
		})
	}
	for round := range 12 {
		i := round % 3
		name := fmt.Sprintf("n%d", i)
		e.drainNode(name, true)
		testnet.Wait(t, name+" to be empty", func() bool { return e.table.Load(topology.NodeID(name)).InFlight == 0 })
		quiet[i].Store(true)
		before := done.Load()
		testnet.Wait(t, "load to go on", func() bool { return done.Load() > before+50 })
		quiet[i].Store(false)
		e.drainNode(name, false)
	}
	close(stop)
	wg.Wait()
	t.Logf("%d requests", done.Load())
}

func TestACutNodeLosesItsStreamsAndItsUnansweredRequests(t *testing.T) {
	e := newEdge(t)
	asked := make(chan struct{}, 2)
	e.rawNode("n1", "web", func(c *testnet.Conn) {
		if head := c.ReadUntil("\r\n\r\n"); strings.HasPrefix(head, "GET /stream ") {
			c.Send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n: x\n\r\n")
		}
		asked <- struct{}{}
		c.ReadAll()
	})
	stream, request := testnet.Dial(t, e.addr), testnet.Dial(t, e.addr)
	stream.Send("GET /stream HTTP/1.1\r\nHost: a.test\r\n\r\n")
	stream.ReadUntil(": x\n\r\n")
	request.Send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0\r\n\r\n")
	<-asked
	<-asked
	e.drainNode("n1", true)
	inFlight, streams := e.table.Cut("n1")
	if n := e.s.CutNode("n1"); inFlight != 1 || streams != 1 || n != 2 {
		t.Errorf("the table counts %d and %d, the server cut %d", inFlight, streams, n)
	}
	if rest, _ := stream.ReadAll(); strings.HasSuffix(rest, "0\r\n\r\n") {
		t.Errorf("the stream was ended as if it were whole: %q", rest)
	}
	if got := request.ReadUntil("\r\n"); got != "HTTP/1.1 503 Service Unavailable\r\n" {
		t.Errorf("the request got %q", got)
	}
	testnet.Wait(t, "the places to be given back", func() bool { l := e.table.Load("n1"); return l.InFlight+l.Streams == 0 })
	if got := e.s.metrics.nodeCut.Get(); got != 2 {
		t.Errorf("%d are counted as cut", got)
	}
	if strings.Contains(e.observed(), "gateway-error") {
		t.Errorf("the node was blamed: %s", e.observed())
	}
}

func TestALeaseTakenBeforeACutIsSeenToBeCut(t *testing.T) {
	e := newEdge(t)
	e.httpNode("n1", "web", func(w http.ResponseWriter, r *http.Request) { t.Error("the node got a request") })
	lease, err := e.table.Bind("n1", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	e.drainNode("n1", true)
	e.table.Cut("n1")
	r := relayPool.Get().(*relay)
	r.s, r.x = e.s, &exchange.Exchange{Reply: &fake{}}
	if r.took(lease) {
		t.Error("a lease on a cut node was used")
	}
	r.endLease()
	if l := e.table.Load("n1"); l.InFlight != 0 {
		t.Errorf("%+v is left", l)
	}
}

func TestAStreamOfEventsThatIsCutEndsWithALastEvent(t *testing.T) {
	for name, c := range map[string]struct {
		sent  string // of the stream's body by then
		whole bool
	}{
		"between two events":       {"data: 1\n\n", true},
		"with CR LF":               {"data: 1\r\n\r\n", true},
		"with CR":                  {"data: 1\r\r", true},
		"before the first":         {"", true},
		"behind one byte":          {"\n", false},
		"within an event":          {"data: 1\n", false},
		"within a line":            {"data: 1\n\ndata", false},
		"behind a line with CR LF": {"data: 1\r\n", false},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEdge(t)
			e.rawNode("n1", "web", func(n *testnet.Conn) {
				n.ReadUntil("\r\n\r\n")
				n.Send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
				for _, b := range []byte(c.sent) {
					n.Send(fmt.Sprintf("1\r\n%c\r\n", b))
				}
				n.ReadAll()
			})
			client := testnet.Dial(t, e.addr)
			client.Send("GET /stream HTTP/1.0\r\nHost: a.test\r\n\r\n") // its answer is without chunks
			client.ReadUntil("\r\n\r\n" + c.sent)
			e.drainNode("n1", true)
			e.table.Cut("n1")
			if n := e.s.CutNode("n1"); n != 1 {
				t.Errorf("cut %d", n)
			}
			rest, _ := client.ReadAll()
			if want := map[bool]string{true: lastEvent}[c.whole]; rest != want {
				t.Errorf("the stream ends with %q; want %q", rest, want)
			}
		})
	}
}

func TestALeavingServerHasClientsUseOthers(t *testing.T) {
	e := newEdge(t)
	e.httpNode("n1", "web", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "ok") })
	ask := func(c *testnet.Conn) string {
		c.Send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
		return c.ReadUntil("\r\n\r\nok")
	}
	staying, idle := testnet.Dial(t, e.addr), testnet.Dial(t, e.addr)
	ask(staying)
	ask(idle)
	e.s.Leave(true)
	if head := ask(staying); !strings.Contains(head, "Connection: close\r\n") {
		t.Errorf("the connection is kept: %q", head)
	}
	e.s.Leave(false)
	late := testnet.Dial(t, e.addr)
	for range 2 {
		if head := ask(late); strings.Contains(head, "Connection: close") {
			t.Errorf("the connection is closed after the drain was taken back: %q", head)
		}
	}
	testnet.Wait(t, "the requests to be over, which is after their answers", func() bool { return e.s.metrics.inFlight.Load() == 0 })
	if n := e.s.CutAll(); n != 0 {
		t.Errorf("cut %d requests of idle connections", n)
	}
	if rest, err := idle.ReadAll(); rest != "" {
		t.Errorf("the idle connection ends with %q, %v", rest, err)
	}
	ask(testnet.Dial(t, e.addr)) // whoever comes is served
}
