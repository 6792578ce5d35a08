// SPDX-License-Identifier: Apache-2.0

package backend

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// slowEcho calls echo with a delay and returns when the worker works on it.
func (r *running) slowEcho(ctx context.Context, t *testing.T, s *mcp.ClientSession, delay time.Duration) (answer <-chan error) {
	t.Helper()
	until(t, "what the client began with is over", func() bool { return r.Load().InFlight == 0 })
	errs := make(chan error, 1)
	go func() {
		_, err := echoOf(ctx, s, map[string]any{"text": "slow", "delay_ms": delay.Milliseconds()})
		errs <- err
	}()
	until(t, "the call is in flight", func() bool { return r.Load().InFlight > 0 })
	return errs
}

func TestACallInFlightIsFinishedBeforeTheEnd(t *testing.T) {
	for _, version := range []string{legacy, modern} {
		t.Run(version, func(t *testing.T) {
			r := start(t, Config{})
			answer := r.slowEcho(t.Context(), t, r.dial(t, version, nil), 500*time.Millisecond)
			r.stop()
			if err := <-answer; err != nil {
				t.Errorf("the call in flight: %v", err)
			}
			if err := r.ended(t); !errors.Is(err, context.Canceled) || errors.Is(err, ErrCut) {
				t.Errorf("Run: got %v, want the context's error", err)
			}
		})
	}
}

func TestWhatIsLeftAtTheDeadlineIsCut(t *testing.T) {
	for _, version := range []string{legacy, modern} {
		t.Run(version, func(t *testing.T) {
			r := start(t, Config{ShutdownDeadline: 200 * time.Millisecond})
			ctx, giveUp := context.WithCancel(t.Context())
			answer := r.slowEcho(ctx, t, r.dial(t, version, nil), time.Minute)
			begun := time.Now()
			r.stop()
			if err := r.ended(t); !errors.Is(err, ErrCut) || !strings.Contains(err.Error(), "1 requests") {
				t.Errorf("Run: got %v, want that 1 request was cut", err)
			}
			if took := time.Since(begun); took > 10*time.Second {
				t.Errorf("the end took %s", took)
			}
			giveUp() // a legacy client tries for long to resume
			if err := <-answer; err == nil {
				t.Error("the cut call was answered")
			}
		})
	}
}

func TestAStandingStreamEndsCleanly(t *testing.T) {
	r := start(t, Config{})
	h := map[string]string{"Mcp-Session-Id": r.session(t), "MCP-Protocol-Version": legacy, "Accept": "text/event-stream"}
	res := r.open(t, t.Context(), "GET", "/mcp", "", h)
	r.stop()
	if _, err := io.ReadAll(res.Body); err != nil {
		t.Errorf("the stream broke: %v; want its end", err)
	}
	if err := r.ended(t); errors.Is(err, ErrCut) {
		t.Errorf("Run: %v", err)
	}
}

// listenBody asks for changes of the list of tools.
const listenBody = `{"jsonrpc":"2.0","id":9,"method":"subscriptions/listen","params":{"_meta":{
	"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{},
	"io.modelcontextprotocol/clientInfo":{"name":"t","version":"1"}},"notifications":{"toolsListChanged":true}}}`

func TestAListenEndsWithItsFinalResult(t *testing.T) {
	r := start(t, Config{Toolset: ToolsetConformance})
	h := map[string]string{"MCP-Protocol-Version": modern, "Mcp-Method": listenMethod}
	res := r.open(t, t.Context(), "POST", "/mcp", listenBody, h)
	until(t, "the listen is open", func() bool { return r.calls.listening() == 1 })
	if n := r.Load().InFlight; n != 0 {
		t.Errorf("an open listen counts as %d in flight, want 0", n)
	}
	r.stop()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Errorf("the stream broke: %v", err)
	}
	for _, want := range []string{"notifications/subscriptions/acknowledged", `"resultType":"complete"`} {
		if !strings.Contains(string(body), want) {
			t.Errorf("the stream has no %s: %s", want, body)
		}
	}
	r.ended(t)
}

func TestAModernClientThatGoesAwayCancelsItsCall(t *testing.T) {
	r := start(t, Config{})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	s := r.dial(t, modern, nil)
	go func() {
		defer close(done)
		_, _ = echoOf(ctx, s, map[string]any{"text": "x", "delay_ms": 60000}) // its error is the cancellation
	}()
	until(t, "the call is in flight", func() bool { return r.calls.count() == 1 })
	cancel()
	<-done
	until(t, "the call has ended", func() bool { return r.calls.count() == 0 })
}

func TestLeavingIsToldBeforeAnythingIsRefused(t *testing.T) {
	told, goOn := make(chan struct{}), make(chan struct{})
	r := start(t, Config{Name: "mcp-1", Leave: func(context.Context) { close(told); <-goOn }})
	answer := r.slowEcho(t.Context(), t, r.dial(t, legacy, nil), 700*time.Millisecond)
	r.stop()
	<-told
	if res, body := r.raw(t, "GET", "/healthz", "", nil); res.StatusCode != 200 || !strings.Contains(body, `"leaving"`) {
		t.Errorf("healthz while leaving: %s %s; want 200", res.Status, body)
	}
	if res, body := r.raw(t, "POST", "/mcp", initialize, nil); res.StatusCode != 200 {
		t.Errorf("a new session while leaving: %s %s; want 200", res.Status, body)
	}
	close(goOn)
	until(t, "the worker refuses", func() bool { return r.refusing.Load() })
	if res, body := r.raw(t, "GET", "/healthz", "", nil); res.StatusCode != 503 || !strings.Contains(body, `"ending"`) {
		t.Errorf("healthz while ending: %s %s; want 503", res.Status, body)
	}
	res, _ := r.raw(t, "POST", "/mcp", initialize, nil)
	if res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Retry-After") == "" {
		t.Errorf("a new session while ending: %s; want 503 with Retry-After", res.Status)
	}
	if err := <-answer; err != nil {
		t.Errorf("the call in flight: %v", err)
	}
	r.ended(t)
}

func TestAPanickingToolIsAnErrorOfItsCall(t *testing.T) {
	r := start(t, Config{})
	mcp.AddTool(r.server, &mcp.Tool{Name: "bad"}, func(context.Context, *mcp.CallToolRequest, struct{}) (*mcp.CallToolResult, any, error) {
		panic("bad")
	})
	s := r.dial(t, legacy, nil)
	if _, err := s.CallTool(t.Context(), &mcp.CallToolParams{Name: "bad"}); err == nil || !strings.Contains(err.Error(), "internal error") {
		t.Errorf("got %v, want an internal error", err)
	}
	if _, err := echoOf(t.Context(), s, map[string]any{"text": "still here"}); err != nil {
		t.Errorf("the next call: %v", err)
	}
}
