// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// rawMCP speaks MCP by hand, so that tests see the status of every answer. Its connections are its own.
type rawMCP struct {
	url    string
	client *http.Client
}

func newRawMCP(url string) *rawMCP {
	return &rawMCP{url, &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 256}}}
}

func (c *rawMCP) close() { c.client.CloseIdleConnections() }

// answer is what came back: the status, the session of the answer, and the JSON-RPC message in it.
type answer struct {
	status  int
	session string
	body    string
}

func (c *rawMCP) post(ctx context.Context, body string, header map[string]string) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	for k, v := range header {
		req.Header.Set(k, v)
	}
	resp, err := c.client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return answer{}, err
	}
	return answer{resp.StatusCode, resp.Header.Get("Mcp-Session-Id"), message(resp.Header.Get("Content-Type"), b)}, nil
}

// message returns the last JSON-RPC message of an answer that is JSON or an event stream.
func message(contentType string, body []byte) string {
	if !strings.HasPrefix(contentType, "text/event-stream") {
		return string(body)
	}
	last := ""
	for line := range bytes.Lines(body) {
		if data, ok := bytes.CutPrefix(line, []byte("data:")); ok && len(bytes.TrimSpace(data)) > 0 {
			last = string(bytes.TrimSpace(data))
		}
	}
	return last
}

const initializeBody = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"raw","version":"1"}}}`

// rawSession is a legacy session.
type rawSession struct {
	*rawMCP
	id     string
	worker string // that holds it
}

// open initializes a session and learns which worker holds it.
func (c *rawMCP) open(ctx context.Context) (*rawSession, error) {
	a, err := c.post(ctx, initializeBody, nil)
	if err != nil {
		return nil, err
	}
	if a.status != 200 || a.session == "" {
		return nil, fmt.Errorf("initialize: status %d, session %q: %s", a.status, a.session, a.body)
	}
	s := &rawSession{rawMCP: c, id: a.session}
	if a, err = s.post(ctx, `{"jsonrpc":"2.0","method":"notifications/initialized"}`, s.header()); err != nil || a.status != 202 {
		return nil, fmt.Errorf("initialized: status %d, error %v", a.status, err)
	}
	e, a, err := s.echo(ctx, "hello", 0)
	if err != nil {
		return nil, fmt.Errorf("first echo: status %d: %w", a.status, err)
	}
	s.worker = e.Worker
	return s, nil
}

func (s *rawSession) header() map[string]string {
	return map[string]string{"Mcp-Session-Id": s.id, "MCP-Protocol-Version": "2025-11-25"}
}

func callBody(text string, delay time.Duration, meta string) string {
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"echo","arguments":{"text":%q,"delay_ms":%d}%s}}`, text, delay.Milliseconds(), meta)
}

// echo calls the tool within the session.
func (s *rawSession) echo(ctx context.Context, text string, delay time.Duration) (echoed, answer, error) {
	a, err := s.post(ctx, callBody(text, delay, ""), s.header())
	if err != nil {
		return echoed{}, a, err
	}
	e, err := parseEcho(a, text)
	return e, a, err
}

// echoModern calls the tool without a session, by the 2026-07-28 protocol.
func (c *rawMCP) echoModern(ctx context.Context, text string, delay time.Duration) (echoed, answer, error) {
	meta := `,"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{},"io.modelcontextprotocol/clientInfo":{"name":"raw","version":"1"}}`
	a, err := c.post(ctx, callBody(text, delay, meta), map[string]string{
		"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/call", "Mcp-Name": "echo",
	})
	if err != nil {
		return echoed{}, a, err
	}
	e, err := parseEcho(a, text)
	return e, a, err
}

func parseEcho(a answer, text string) (echoed, error) {
	if a.status != 200 {
		return echoed{}, fmt.Errorf("status %d: %.200s", a.status, a.body)
	}
	var m struct {
		Result struct {
			StructuredContent echoed `json:"structuredContent"`
		} `json:"result"`
		Error json.RawMessage `json:"error"`
	}
	if err := json.Unmarshal([]byte(a.body), &m); err != nil {
		return echoed{}, fmt.Errorf("not JSON: %w: %.200s", err, a.body)
	}
	if m.Result.StructuredContent.Text != text {
		return echoed{}, fmt.Errorf("echo of %q gave %.300s", text, a.body)
	}
	return m.Result.StructuredContent, nil
}
