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
