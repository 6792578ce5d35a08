// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"meridian/balancer"
	"meridian/internal/testnet"
	"meridian/topology"
)

const initialize = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}`

// worker is a small MCP worker: it opens sessions named NAME-1, NAME-2, … and answers each request with its own name.
func (e *edge) worker(name string) {
	var mu sync.Mutex
	n, open := 0, map[string]bool{}
	e.httpNode(name, "mcp", func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		body, _ := io.ReadAll(r.Body)
		id := r.Header.Get("Mcp-Session-Id")
		if !strings.HasPrefix(r.Host, "127.0.0.1:") {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		switch {
		case id != "" && !open[id]:
			http.Error(w, "session not found", http.StatusNotFound)
			return
		case r.Method == http.MethodDelete:
			delete(open, id)
			w.WriteHeader(http.StatusNoContent)
			return
		case id == "" && strings.Contains(string(body), `"initialize"`):
			n++
			id = fmt.Sprintf("%s-%d", name, n)
			open[id] = true
			w.Header().Set("Mcp-Session-Id", id)
		}
		io.WriteString(w, name)
	})
}

func TestASessionsRequestsReachTheWorkerThatOpenedIt(t *testing.T) {
	e := newEdge(t)
	for i := range 4 {
		e.worker(fmt.Sprintf("w%d", i))
	}
	for range 10 {
		_, name, h := e.ask("POST", "/mcp", initialize)
		id := h.Get("Mcp-Session-Id")
		if !strings.HasPrefix(id, name+"-") {
			t.Fatalf("%s opened %q", name, id)
		}
		for range 5 {
			if status, got, _ := e.ask("POST", "/mcp", "{}", "mcp-session-id", id); status != 200 || got != name {
				t.Errorf("a request of %s went to %q (%d)", id, got, status)
			}
		}
		if got := e.sessions.Count(topology.NodeID(name)); got == 0 {
			t.Errorf("no session is counted at %s", name)
		}
		if status, _, _ := e.ask("DELETE", "/mcp", "", "Mcp-Session-Id", id); status != 204 {
			t.Errorf("DELETE: %d", status)
		}
		if status, got, _ := e.ask("POST", "/mcp", "{}", "Mcp-Session-Id", id); status != 404 || got != "session not found\n" {
			t.Errorf("after DELETE: %d %q", status, got)
		}
	}
}

func TestADeadWorkersSessionIs503UntilItIsDeclaredDeadAndThen404(t *testing.T) {
	e := newEdge(t)
	addr := testnet.Unused(t)
	e.node("w1", "mcp", addr)
	e.sessions.Bind("mcp", "s1", "w1", time.Now())
	e.sessions.Bind("mcp", "s2", "w1", time.Now())
	status, _, h := e.ask("POST", "/mcp", "{}", "Mcp-Session-Id", "s1")
	if status != 503 || h.Get("Retry-After") != "1" {
		t.Errorf("not yet declared dead: %d %v", status, h)
	}
	// A GET stream is held until health has decided.
	go func() {
		testnet.Wait(t, "the GET to be tried", func() bool { return strings.Count(e.observed(), "connect-failed") > 2 })
		e.table.SetStanding("w1", balancer.StandingDown)
	}()
	if status, body, _ := e.ask("GET", "/mcp", "", "Mcp-Session-Id", "s2", "Accept", "text/event-stream"); status != 404 || body != "session not found\n" {
		t.Errorf("GET: %d %q", status, body)
	}
	if status, _, _ := e.ask("POST", "/mcp", "{}", "Mcp-Session-Id", "s1"); status != 404 {
		t.Errorf("declared dead: %d; want 404", status)
	}
	// A worker that was only too slow for its checks comes back with its sessions.
	e.table.SetStanding("w1", balancer.StandingUp)
	if status, _, _ := e.ask("POST", "/mcp", "{}", "Mcp-Session-Id", "s1"); status != 503 || e.sessions.Count("w1") != 2 {
		t.Errorf("back, but not reachable: %d with %d sessions; want 503 with 2", status, e.sessions.Count("w1"))
	}
}

func TestAnInitializeWithTheIDOfAnOldSessionOpensANewOne(t *testing.T) {
	e := newEdge(t)
	e.worker("w1")
	status, _, h := e.ask("POST", "/mcp", initialize, "Mcp-Session-Id", "gone-1")
	if status != 200 || h.Get("Mcp-Session-Id") != "w1-1" {
		t.Errorf("at once: %d %v", status, h)
	}
	c := testnet.Dial(t, e.addr)
	c.Send(fmt.Sprintf("POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nMcp-Session-Id: gone-1\r\nContent-Length: %d\r\n\r\n", len(initialize)))
	c.Send(initialize[:20])
	c.Send(initialize[20:])
	if got := c.ReadUntil("\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 200 OK\r\n") || !strings.Contains(got, "Mcp-Session-Id: w1-2\r\n") {
		t.Errorf("in pieces: %q", got)
	}
	if status, body, _ := e.ask("POST", "/mcp", `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`, "Mcp-Session-Id", "gone-1"); status != 404 {
		t.Errorf("another method: %d %q", status, body)
	}
}

func TestForeignHostsAndOriginsAreKeptFromWorkers(t *testing.T) {
	e := newEdge(t)
	e.worker("w1")
	for _, c := range []struct {
		host, origin string
		status       int
	}{
		{"127.0.0.1", "", 200}, {"localhost:99", "http://localhost:5173", 200}, {"evil.example.com", "", 403},
		{"127.0.0.1", "http://evil.example", 403}, {"127.0.0.1", "null", 403},
	} {
		conn := testnet.Dial(t, e.addr)
		origin := ""
		if c.origin != "" {
			origin = "Origin: " + c.origin + "\r\n"
		}
		conn.Send("POST /mcp HTTP/1.1\r\nHost: " + c.host + "\r\n" + origin + "Content-Length: 2\r\n\r\n{}")
		if got := conn.ReadUntil("\r\n"); !strings.HasPrefix(got, fmt.Sprintf("HTTP/1.1 %d ", c.status)) {
			t.Errorf("%+v: got %q", c, got)
		}
	}
}

func TestModernRequestsAreBalancedWhateverSessionTheyName(t *testing.T) {
	e := newEdge(t)
	e.worker("w1")
	e.sessions.Bind("mcp", "s1", "gone", time.Now())
	c := testnet.Dial(t, e.addr)
	c.Send("POST /mcp HTTP/1.1\r\nHost: localhost\r\nMCP-Protocol-Version: 2026-07-28\r\nMcp-Session-Id: s1\r\nContent-Length: 2\r\n\r\n{}")
	if got := c.ReadUntil("\r\n"); got != "HTTP/1.1 404 Not Found\r\n" { // the worker's own: it knows no s1
		t.Errorf("got %q", got)
	}
	if _, known := e.sessions.Lookup("mcp", "s1", time.Now()); !known {
		t.Error("a modern request's 404 has dropped a session")
	}
}

func TestAStreamOfAWorkerThatDiesEndsAtOnce(t *testing.T) {
	e := newEdge(t)
	n := e.rawNode("w1", "mcp", func(c *testnet.Conn) {
		c.ReadUntil("\r\n\r\n")
		c.Send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n7\r\n: hi\n\n\n\r\n")
		c.ReadAll()
	})
	e.sessions.Bind("mcp", "s1", "w1", time.Now())
	c := testnet.Dial(t, e.addr)
	c.Send("GET /mcp HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\nMcp-Session-Id: s1\r\n\r\n")
	c.ReadUntil(": hi")
	n.Close()
	if rest, _ := c.ReadAll(); strings.HasSuffix(rest, "0\r\n\r\n") {
		t.Errorf("the stream was ended as if it were whole: %q", rest)
	}
}
