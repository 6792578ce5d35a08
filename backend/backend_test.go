// SPDX-License-Identifier: Apache-2.0

package backend

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait of a test.
const patience = 20 * time.Second

// running is a worker that runs.
type running struct {
	*Worker
	url  string
	stop context.CancelFunc
	err  chan error // what Run returned
}

// start runs a worker until the test ends.
func start(t *testing.T, cfg Config) *running {
	t.Helper()
	if cfg.Grace == 0 {
		cfg.Grace = -1
	}
	w, err := New(cfg)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	if err := w.Listen(); err != nil {
		t.Fatalf("Listen: %v", err)
	}
	ctx, stop := context.WithCancel(context.Background())
	r := &running{w, "http://" + w.Addr().String(), stop, make(chan error, 1)}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		r.err <- w.Run(ctx)
	}()
	t.Cleanup(func() { stop(); <-ended })
	return r
}

// ended returns what Run returned.
func (r *running) ended(t *testing.T) error {
	t.Helper()
	select {
	case err := <-r.err:
		return err
	case <-time.After(patience):
		t.Fatal("Run did not return")
		return nil
	}
}

// dial connects a client of the official SDK. A modern one works without initialize; a legacy one gets a session.
func (r *running) dial(t *testing.T, version string, opts *mcp.ClientOptions) *mcp.ClientSession {
	t.Helper()
	hc := &http.Client{Transport: &http.Transport{}}
	t.Cleanup(hc.CloseIdleConnections)
	c := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, opts)
	s, err := c.Connect(t.Context(), &mcp.StreamableClientTransport{Endpoint: r.url + "/mcp", HTTPClient: hc}, &mcp.ClientSessionOptions{ProtocolVersion: version})
	if err != nil {
		t.Fatalf("connect at %s: %v", version, err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

const (
	legacy = "2025-11-25"
	modern = "2026-07-28"
)

// echoOf calls echo and returns its structured answer.
func echoOf(ctx context.Context, s *mcp.ClientSession, args map[string]any) (echoAnswer, error) {
	res, err := s.CallTool(ctx, &mcp.CallToolParams{Name: "echo", Arguments: args})
	if err != nil {
		return echoAnswer{}, err
	}
	if res.IsError {
		return echoAnswer{}, errors.New(textOf(res))
	}
	var a echoAnswer
	return a, remarshal(res.StructuredContent, &a)
}

func remarshal(from, to any) error {
	b, err := json.Marshal(from)
	if err != nil {
		return err
	}
	return json.Unmarshal(b, to)
}

func textOf(res *mcp.CallToolResult) string {
	var b strings.Builder
	for _, c := range res.Content {
		if t, ok := c.(*mcp.TextContent); ok {
			b.WriteString(t.Text)
		}
	}
	return b.String()
}

// until waits for a condition.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("never: %s", what)
		}
	}
}

// raw sends one HTTP request and returns the answer, whose body it has read.
func (r *running) raw(t *testing.T, method, path, body string, header map[string]string) (*http.Response, string) {
	t.Helper()
	res := r.open(t, t.Context(), method, path, body, header)
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatalf("%s %s: read the body: %v", method, path, err)
	}
	return res, string(b)
}

// open sends one HTTP request and leaves the body to the caller.
func (r *running) open(t *testing.T, ctx context.Context, method, path, body string, header map[string]string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, method, r.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	for k, v := range header {
		req.Header.Set(k, v)
	}
	tr := &http.Transport{DisableKeepAlives: true}
	res, err := (&http.Client{Transport: tr}).Do(req)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	t.Cleanup(func() { res.Body.Close() })
	return res
}

const initialize = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}`

// session opens a legacy session by hand and returns its id.
func (r *running) session(t *testing.T) string {
	t.Helper()
	res, body := r.raw(t, "POST", "/mcp", initialize, nil)
	id := res.Header.Get("Mcp-Session-Id")
	if res.StatusCode != 200 || id == "" {
		t.Fatalf("initialize: %s, session %q, %s", res.Status, id, body)
	}
	h := map[string]string{"Mcp-Session-Id": id, "MCP-Protocol-Version": legacy}
	if res, body := r.raw(t, "POST", "/mcp", `{"jsonrpc":"2.0","method":"notifications/initialized"}`, h); res.StatusCode != 202 {
		t.Fatalf("initialized: %s %s", res.Status, body)
	}
	return id
}

func call(id int, tool, args string) string {
	b, _ := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": id, "method": "tools/call",
		"params": map[string]any{"name": tool, "arguments": json.RawMessage(args)}})
	return string(b)
}
