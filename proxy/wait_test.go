// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"fmt"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"meridian/internal/testnet"
	"meridian/topology"
)

// fullEdge has a pool with a queue and one node, which takes two requests at once and holds them until release is closed.
func fullEdge(t *testing.T, q topology.Queue) (e *edge, release chan struct{}) {
	e = newEdge(t)
	release = make(chan struct{})
	e.set.Put(&topology.Pool{Name: "web", Queue: q})
	e.httpNode("n1", "web", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hold" {
			<-release
		}
		fmt.Fprint(w, "ok")
	})
	n := *e.set[topology.Key{Kind: topology.KindNode, Name: "n1"}].(*topology.Node)
	n.Capacity.Connections = 2
	e.set.Put(&n)
	e.apply()
	return e, release
}

// holding sends requests until both places are taken, and returns what waits for their end.
func (e *edge) holding() *sync.WaitGroup {
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() { e.ask("GET", "/hold", "") })
	}
	testnet.Wait(e.t, "both places to be taken", func() bool { return e.table.Load("n1").InFlight == 2 })
	return &wg
}

func TestARequestWaitsForAPlace(t *testing.T) {
	e, release := fullEdge(t, topology.Queue{Size: 10, Timeout: topology.Duration(testnet.Patience)})
	held := e.holding()
	m := e.s.metrics.of("web")
	var wg sync.WaitGroup
	for range 5 {
		wg.Go(func() {
			if status, body, _ := e.ask("GET", "/", ""); status != 200 || body != "ok" {
				t.Errorf("got %d %q", status, body)
			}
		})
	}
	testnet.Wait(t, "five to wait", func() bool { return m.queued() == 5 })
	close(release)
	wg.Wait()
	held.Wait()
	if m.queued() != 0 || m.queueRefused.Get() != 0 {
		t.Errorf("%v wait, %d were refused", m.queued(), m.queueRefused.Get())
	}
}

func TestAFullQueueAndOneThatTakesTooLongAnswer503(t *testing.T) {
	e, release := fullEdge(t, topology.Queue{Size: 1, Timeout: topology.Duration(200 * time.Millisecond)})
	held := e.holding()
	m := e.s.metrics.of("web")
	var wg sync.WaitGroup
	wg.Go(func() {
		if status, _, header := e.ask("GET", "/", ""); status != 503 || header.Get("Retry-After") == "" {
			t.Errorf("after waiting: got %d %v", status, header)
		}
	})
	testnet.Wait(t, "one to wait", func() bool { return m.queued() == 1 })
	if status, body, header := e.ask("GET", "/", ""); status != 503 || header.Get("Retry-After") == "" {
		t.Errorf("a second one: got %d %q", status, body)
	}
	wg.Wait()
	if m.queueRefused.Get() != 1 || m.queued() != 0 {
		t.Errorf("%d refused, %v wait", m.queueRefused.Get(), m.queued())
	}
	close(release)
	held.Wait()
}

func TestAClientThatLeavesWhileItWaitsGivesItsTurnUp(t *testing.T) {
	e, release := fullEdge(t, topology.Queue{Size: 10, Timeout: topology.Duration(testnet.Patience)})
	held := e.holding()
	m := e.s.metrics.of("web")
	c, err := net.Dial("tcp", e.addr)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	testnet.Wait(t, "it to wait", func() bool { return m.queued() == 1 })
	c.Close()
	testnet.Wait(t, "it to be gone", func() bool { return m.queued() == 0 })
	close(release)
	held.Wait()
	testnet.Wait(t, "nothing to be out", func() bool { return e.table.Load("n1").InFlight == 0 })
}

func TestWithoutAQueueNobodyWaits(t *testing.T) {
	e, release := fullEdge(t, topology.Queue{})
	held := e.holding()
	if status, _, header := e.ask("GET", "/", ""); status != 503 || header.Get("Retry-After") == "" {
		t.Errorf("got %d %v", status, header)
	}
	close(release)
	held.Wait()
}
