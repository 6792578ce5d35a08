// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"meridian/internal/testnet"
	"meridian/topology"
)

// everyEngine has f run with a client of each protocol, the URL of the edge's root for it and the protocol's name.
func everyEngine(t *testing.T, e *edge, f func(t *testing.T, c *http.Client, root string)) {
	t.Helper()
	for _, engine := range engines {
		t.Run(engine.name, func(t *testing.T) {
			c, root, _ := engineClient(t, e, engine.tls, engine.http2)
			f(t, c, root)
		})
	}
	t.Run("HTTP/3", func(t *testing.T) { f(t, h3(t), "https://"+e.secureAddr()) })
}

// flood sends without end, until the connection is closed.
func flood(c *testnet.Conn) {
	c.ReadUntil("\r\n\r\n")
	c.Send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
	for chunk := "10000\r\n" + strings.Repeat("x", 1<<16) + "\r\n"; c.Send(chunk) == nil; {
	}
}

// TestARequestsTimeEndsAWriteThatWaitsForItsClient: a client that reads nothing holds its place no longer than the route
// allows, although it would have more time to take what is written to it.
func TestARequestsTimeEndsAWriteThatWaitsForItsClient(t *testing.T) {
	t.Parallel()
	e := newEdge(t, withTLS(t, "a.test"), withHTTP3, func(c *Config) { c.WriteTimeout = 10 * testnet.Patience })
	e.set.Put(&topology.Route{Name: "web", Pool: "web", Timeouts: topology.Timeouts{Request: topology.Duration(time.Second)}})
	e.rawNode("n1", "web", flood)
	e.apply()
	ended := 0
	everyEngine(t, e, func(t *testing.T, c *http.Client, root string) {
		req, _ := http.NewRequest("GET", root, nil)
		req.Host = "a.test"
		resp, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		ended++
		testnet.Wait(t, "the request to end", func() bool {
			return strings.Count(e.logged(), "the request took longer than its route allows") == ended && e.table.Load("n1").InFlight == 0
		})
		if n, err := io.Copy(io.Discard, resp.Body); err == nil {
			t.Errorf("%d bytes came as if they were all", n)
		}
	})
	if got := e.observed(); got != "" {
		t.Errorf("somebody was blamed: %s", got)
	}
}

// TestANodesCutEndsAWriteThatWaitsForItsClient is the same for the end of a drain.
func TestANodesCutEndsAWriteThatWaitsForItsClient(t *testing.T) {
	e := newEdge(t, withTLS(t, "a.test"), withHTTP3, func(c *Config) { c.WriteTimeout = 10 * testnet.Patience })
	e.rawNode("n1", "web", flood)
	cut := 0
	everyEngine(t, e, func(t *testing.T, c *http.Client, root string) {
		req, _ := http.NewRequest("GET", root, nil)
		req.Host = "a.test"
		resp, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		e.s.CutNode("n1")
		cut++
		testnet.Wait(t, "the request to end", func() bool {
			return strings.Count(e.logged(), "the node's drain reached its deadline") == cut
		})
	})
}
