// SPDX-License-Identifier: Apache-2.0

package backend

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// BenchmarkEcho is one tools/call through the worker's own handler, without a network.
func BenchmarkEcho(b *testing.B) {
	w, err := New(Config{})
	if err != nil {
		b.Fatal(err)
	}
	defer func() {
		w.cut()
		for s := range w.server.Sessions() {
			s.Close()
		}
	}()
	post := func(b *testing.B, body string, header map[string]string) *httptest.ResponseRecorder {
		req := httptest.NewRequest("POST", "http://localhost/mcp", strings.NewReader(body))
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Accept", "application/json, text/event-stream")
		for k, v := range header {
			req.Header.Set(k, v)
		}
		rec := httptest.NewRecorder()
		w.http.Handler.ServeHTTP(rec, req)
		if rec.Code != http.StatusOK && rec.Code != http.StatusAccepted {
			body, _ := io.ReadAll(rec.Body)
			b.Fatalf("%d %s", rec.Code, body)
		}
		return rec
	}
	session := post(b, initialize, nil).Header().Get("Mcp-Session-Id")
	h := map[string]string{"Mcp-Session-Id": session, "MCP-Protocol-Version": legacy}
	post(b, `{"jsonrpc":"2.0","method":"notifications/initialized"}`, h)
	b.Run("legacy", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			post(b, call(2, "echo", `{"text":"x"}`), h)
		}
	})
	modernCall := `{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"echo","arguments":{"text":"x"},"_meta":{
		"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}`
	m := map[string]string{"MCP-Protocol-Version": modern, "Mcp-Method": "tools/call", "Mcp-Name": "echo"}
	b.Run("modern", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			post(b, modernCall, m)
		}
	})
}
