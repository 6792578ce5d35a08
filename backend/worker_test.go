// SPDX-License-Identifier: Apache-2.0

package backend

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"meridian/geo"
	"meridian/topology"
)

func TestBothErasAreServedOnOneURL(t *testing.T) {
	r := start(t, Config{Name: "mcp-1", Region: "eu-central-1", Locate: geo.Embedded().Locate})
	for _, version := range []string{"2025-03-26", "2025-06-18", legacy, modern} {
		t.Run(version, func(t *testing.T) {
			s := r.dial(t, version, nil)
			tools, err := s.ListTools(t.Context(), nil)
			if err != nil {
				t.Fatalf("list: %v", err)
			}
			var names []string
			for _, tool := range tools.Tools {
				names = append(names, tool.Name)
				if tool.Annotations == nil || !tool.Annotations.ReadOnlyHint {
					t.Errorf("%s is not marked read-only", tool.Name)
				}
			}
			slices.Sort(names)
			if want := []string{"echo", "explain_route", "fleet_status", "locate_ip"}; !slices.Equal(names, want) {
				t.Errorf("tools: got %v, want %v", names, want)
			}
			got, err := echoOf(t.Context(), s, map[string]any{"text": "hello"})
			if want := (echoAnswer{"hello", "mcp-1", "eu-central-1"}); err != nil || got != want {
				t.Errorf("echo: got %+v, %v; want %+v", got, err, want)
			}
			if has := s.ID() != ""; has != (version != modern) {
				t.Errorf("session id %q at %s", s.ID(), version)
			}
		})
	}
}

func TestSessionsAreCountedFromInitializeToDelete(t *testing.T) {
	r := start(t, Config{})
	a, b := r.dial(t, legacy, nil), r.dial(t, legacy, nil)
	r.dial(t, modern, nil) // has none
	if _, err := a.ListTools(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if n := r.Load().Sessions; n != 2 {
		t.Errorf("got %d sessions with two clients, want 2", n)
	}
	if err := a.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	if n := r.Load().Sessions; n != 1 {
		t.Errorf("got %d sessions after one DELETE, want 1", n)
	}
	if _, err := b.ListTools(t.Context(), nil); err != nil {
		t.Errorf("the other session: %v", err)
	}
}

func TestADeletedSessionAnswers404(t *testing.T) {
	r := start(t, Config{})
	h := map[string]string{"Mcp-Session-Id": r.session(t), "MCP-Protocol-Version": legacy}
	if res, _ := r.raw(t, "DELETE", "/mcp", "", h); res.StatusCode != http.StatusNoContent {
		t.Fatalf("DELETE: got %s, want 204", res.Status)
	}
	for _, method := range []string{"POST", "GET", "DELETE"} {
		if res, _ := r.raw(t, method, "/mcp", call(2, "echo", `{"text":"x"}`), h); res.StatusCode != http.StatusNotFound {
			t.Errorf("%s after DELETE: got %s, want 404", method, res.Status)
		}
	}
}

func TestAnIdleSessionEnds(t *testing.T) {
	r := start(t, Config{SessionIdle: 50 * time.Millisecond})
	h := map[string]string{"Mcp-Session-Id": r.session(t), "MCP-Protocol-Version": legacy}
	until(t, "the idle session is gone", func() bool { return r.Load().Sessions == 0 })
	if res, _ := r.raw(t, "POST", "/mcp", call(2, "echo", `{"text":"x"}`), h); res.StatusCode != http.StatusNotFound {
		t.Errorf("POST after the idle time: got %s, want 404", res.Status)
	}
}

func TestAPOSTWithoutInitializeLeavesNoSession(t *testing.T) {
	r := start(t, Config{})
	r.raw(t, "POST", "/mcp", call(1, "echo", `{"text":"x"}`), nil)
	until(t, "no session is left", func() bool { return r.Load().Sessions == 0 })
}

func TestABrokenStreamIsResumedWithTheAnswer(t *testing.T) {
	r := start(t, Config{Toolset: ToolsetConformance})
	h := map[string]string{"Mcp-Session-Id": r.session(t), "MCP-Protocol-Version": legacy}
	res, body := r.raw(t, "POST", "/mcp", call(7, "test_reconnection", `{}`), h)
	if res.StatusCode != 200 || strings.Contains(body, "resumed") {
		t.Fatalf("the first stream: %s, %q; want it closed before the answer", res.Status, body)
	}
	_, rest, ok := strings.Cut(body, "id: ")
	event, _, _ := strings.Cut(rest, "\n")
	if !ok {
		t.Fatalf("no event id in %q", body)
	}
	h["Last-Event-ID"] = event
	res, body = r.raw(t, "GET", "/mcp", "", h)
	if res.StatusCode != 200 || !strings.Contains(body, "resumed") {
		t.Errorf("the resumed stream: %s, %q; want the call's answer", res.Status, body)
	}
}

func TestTheClientIsAskedInTheMiddleOfACall(t *testing.T) {
	r := start(t, Config{Toolset: ToolsetConformance, Capacity: topology.Capacity{Connections: 1}})
	s := r.dial(t, legacy, &mcp.ClientOptions{
		ElicitationHandler: func(_ context.Context, _ *mcp.ElicitRequest) (*mcp.ElicitResult, error) {
			return &mcp.ElicitResult{Action: "accept", Content: map[string]any{"username": "ann", "email": "ann@example.org"}}, nil
		},
	})
	res, err := s.CallTool(t.Context(), &mcp.CallToolParams{Name: "test_elicitation", Arguments: map[string]any{"message": "who?"}})
	if err != nil || !strings.Contains(textOf(res), `"username":"ann"`) {
		t.Errorf("got %v, %v; the answer must get in although the call holds the only place", res, err)
	}
}

func TestStreamsAreNotInFlight(t *testing.T) {
	r := start(t, Config{})
	r.dial(t, legacy, nil) // opens a GET stream
	until(t, "the client's stream is open", func() bool { _, streams := r.work.counts(); return streams == 1 })
	until(t, "nothing is in flight", func() bool { return r.Load().InFlight == 0 })
	if l := r.Load(); l.Connections == 0 || l.CPU < 0 || l.CPU > 1 {
		t.Errorf("got %+v; want connections and a share of 0..1", l)
	}
}

func TestABadConfigIsRefusedWithEveryMistake(t *testing.T) {
	_, err := New(Config{Capacity: topology.Capacity{Connections: -1, RPS: -1}, MaxSessions: -1, Toolset: "hammer", ShutdownDeadline: time.Millisecond})
	for _, want := range []string{"capacity.connections", "capacity.rps", "max sessions", `"hammer"`, "shutdown deadline"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error %v does not name %s", err, want)
		}
	}
}

func TestAListenAddressInUseIsRefused(t *testing.T) {
	r := start(t, Config{})
	w, err := New(Config{Listen: r.Addr().String()})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Run(t.Context()); err == nil || !strings.Contains(err.Error(), r.Addr().String()) {
		t.Errorf("got %v, want an error that names the address", err)
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	r := start(t, Config{})
	r.stop()
	if err := r.ended(t); !errors.Is(err, context.Canceled) || errors.Is(err, ErrCut) {
		t.Errorf("got %v, want the context's error", err)
	}
}
