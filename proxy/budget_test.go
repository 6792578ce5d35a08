// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"meridian/internal/testnet"
	"meridian/topology"
)

// TestRetriesBeyondTheBudgetAreNotMade has nodes that take a request, hold it until all are there, and close: 20 requests, of
// which 4 may be tried again at a time.
func TestRetriesBeyondTheBudgetAreNotMade(t *testing.T) {
	const clients = 20
	e := newEdge(t)
	e.set.Put(&topology.Route{Name: "web", Pool: "web", Tries: 2})
	var seen atomic.Int64
	all, again := make(chan struct{}), make(chan struct{})
	hold := func(c *testnet.Conn) {
		if c.ReadUntil("\r\n\r\n") == "" {
			return
		}
		if n := seen.Add(1); n == clients {
			close(all)
		} else if n > clients {
			<-again // a retry stays until all first tries have ended
			return
		}
		<-all
	}
	e.rawNode("n1", "web", hold)
	e.rawNode("n2", "web", hold)
	var wg sync.WaitGroup
	statuses := make(chan int, clients)
	for range clients {
		wg.Go(func() {
			status, _, _ := e.ask("GET", "/", "")
			statuses <- status
		})
	}
	m := e.s.metrics.of("web")
	testnet.Wait(t, "all but the retries to have an answer", func() bool { return len(statuses)+m.budget.Retrying() == clients })
	if got := m.budget.Retrying(); got < 3 || got > 4 {
		t.Errorf("%d retries at once of %d requests; want 3 to 4", got, clients)
	}
	close(again)
	wg.Wait()
	close(statuses)
	for s := range statuses {
		if s != 502 {
			t.Errorf("got %d, want 502", s)
		}
	}
	testnet.Wait(t, "all places to be given back", func() bool { return m.budget.Retrying() == 0 })
	if refused, retries := m.retriesRefused.Get(), m.retries.Get(); refused+retries != clients || retries > 4 {
		t.Errorf("%d retries and %d refused; want %d in all", retries, refused, clients)
	}
}

// TestARequestThatReachedNoNodeNeedsNoBudget has more requests meet a dead node than the budget has places.
func TestARequestThatReachedNoNodeNeedsNoBudget(t *testing.T) {
	e := newEdge(t)
	e.node("dead", "web", testnet.Unused(t))
	e.httpNode("n1", "web", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok") })
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if status, body, _ := e.ask("GET", "/", ""); status != 200 || !strings.Contains(body, "ok") {
				t.Errorf("got %d %q", status, body)
			}
		})
	}
	wg.Wait()
}
