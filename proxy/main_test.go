// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"meridian/balancer"
	"meridian/health"
	"meridian/internal/testnet"
	"meridian/mcp"
	"meridian/topology"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// edge is a running server with its topology.
type edge struct {
	t        testing.TB
	s        *Server
	addr     string
	store    topology.Store
	table    *balancer.Table
	sessions *mcp.Sessions
	set      topology.Set
	rev      topology.Revision
	stop     func() error

	mu       sync.Mutex
	outcomes []string // "node outcome"
	log      bytes.Buffer
}

var outcomeNames = [...]string{"success", "gateway-error", "connect-failed", "client-gone"}

// newEdge starts a server with a pool "web" behind every host and the path /, and a pool "mcp" behind /mcp.
func newEdge(t testing.TB, change ...func(*Config)) *edge {
	t.Helper()
	e := &edge{t: t, table: balancer.NewTable(), sessions: mcp.NewSessions(0, 0), set: topology.Set{}}
	e.set.Put(&topology.Region{Name: "here"})
	e.set.Put(&topology.Pool{Name: "web"})
	e.set.Put(&topology.Pool{Name: "mcp", Protocol: topology.ProtocolMCP})
	e.set.Put(&topology.Route{Name: "web", Pool: "web"})
	e.set.Put(&topology.Route{Name: "mcp", Pool: "mcp", PathPrefix: "/mcp"})
	c := Config{
		Listen: []string{"127.0.0.1:0"}, Snapshot: e.store.Load, Table: e.table, Sessions: e.sessions,
		AccessLog: e, Observe: e.observe, Deadline: 5 * time.Second, Quiet: 20 * time.Millisecond,
	}
	for _, f := range change {
		f(&c)
	}
	var err error
	if e.s, err = New(c); err != nil {
		t.Fatal(err)
	}
	if err := e.s.Listen(); err != nil {
		t.Fatal(err)
	}
	e.addr = e.s.Addrs()[0].String()
	e.apply()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- e.s.Run(ctx) }()
	e.stop = sync.OnceValue(func() error { cancel(); return <-done })
	t.Cleanup(func() {
		if err := e.stop(); !errors.Is(err, context.Canceled) {
			t.Errorf("Run returned %v", err)
		}
	})
	return e
}

// Write implements io.Writer for the access log.
func (e *edge) Write(p []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.log.Write(p)
}

func (e *edge) logged() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.log.String()
}

func (e *edge) observe(n topology.NodeID, o health.Outcome, _ string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.outcomes = append(e.outcomes, fmt.Sprintf("%s %s", n, outcomeNames[o]))
}

func (e *edge) observed() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return strings.Join(e.outcomes, ", ")
}

// wantObserved waits for the outcomes: the last one comes after the client has its answer.
func (e *edge) wantObserved(want string) {
	e.t.Helper()
	testnet.Wait(e.t, "the outcomes "+want, func() bool { return e.observed() == want })
}

// apply brings the set into use.
func (e *edge) apply() {
	e.t.Helper()
	e.rev++
	snap, mistakes := topology.Build(e.rev, e.set)
	if len(mistakes) > 0 {
		e.t.Fatalf("topology: %v", mistakes)
	}
	if build := e.table.Apply(snap, []topology.RegionID{"here"}); build != nil {
		build()
	}
	e.store.Swap(snap)
}

// node adds a node that is up.
func (e *edge) node(name, pool, addr string) {
	e.set.Put(&topology.Node{Name: topology.NodeID(name), Pool: topology.PoolID(pool), Region: "here", Address: addr})
	e.table.SetStanding(topology.NodeID(name), balancer.StandingUp)
	e.apply()
}

// httpNode adds a node that net/http's server serves.
func (e *edge) httpNode(name, pool string, h http.HandlerFunc) *httptest.Server {
	s := httptest.NewServer(h)
	e.t.Cleanup(s.Close)
	e.node(name, pool, s.Listener.Addr().String())
	return s
}

// rawNode adds a node whose connections are served by f.
func (e *edge) rawNode(name, pool string, f func(*testnet.Conn)) *testnet.Node {
	n := testnet.Listen(e.t, f)
	e.node(name, pool, n.Addr)
	return n
}

// client returns an HTTP client with connections of its own.
func client(t testing.TB) *http.Client {
	tr := &http.Transport{DisableCompression: true}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: testnet.Patience, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// ask sends one request and returns status and body.
func (e *edge) ask(method, path, body string, header ...string) (int, string, http.Header) {
	e.t.Helper()
	req, err := http.NewRequest(method, "http://"+e.addr+path, strings.NewReader(body))
	if err != nil {
		e.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := client(e.t).Do(req)
	if err != nil {
		e.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		e.t.Fatalf("%s %s: %v", method, path, err)
	}
	return resp.StatusCode, string(b), resp.Header
}
