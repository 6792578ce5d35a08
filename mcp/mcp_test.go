// SPDX-License-Identifier: Apache-2.0

package mcp_test

import (
	"strings"
	"testing"

	"meridian/mcp"

	"github.com/google/go-cmp/cmp"
)

// fields is a request's head, "Name: value" each.
type fields []string

func (f fields) Get(name string) string {
	var values []string
	for _, line := range f {
		if n, v, _ := strings.Cut(line, ": "); strings.EqualFold(n, name) {
			values = append(values, v)
		}
	}
	return strings.Join(values, ", ")
}

func (f fields) Count(name string) (n int) {
	for _, line := range f {
		if field, _, _ := strings.Cut(line, ": "); strings.EqualFold(field, name) {
			n++
		}
	}
	return n
}

func TestRequestsAreClassified(t *testing.T) {
	type want struct {
		era    mcp.Era
		kind   mcp.Kind
		id     string
		status int
	}
	long := strings.Repeat("x", 257)
	for _, c := range []struct {
		name, method, path string
		head               fields
		want               want
	}{
		{"an initialize", "POST", "/mcp", nil, want{kind: mcp.Post}},
		{"a request of a session", "POST", "/mcp", fields{"Mcp-Session-Id: abc"}, want{kind: mcp.Post, id: "abc"}},
		{"names have no case", "POST", "/mcp", fields{"MCP-SESSION-ID: abc", "mcp-protocol-version: 2025-11-25"}, want{kind: mcp.Post, id: "abc"}},
		{"the last legacy version", "POST", "/mcp", fields{"MCP-Protocol-Version: 2026-07-27"}, want{kind: mcp.Post}},
		{"the first modern version", "POST", "/mcp", fields{"mcp-protocol-version: 2026-07-28"}, want{era: mcp.Modern, kind: mcp.Post}},
		{"a later version", "POST", "/mcp", fields{"MCP-Protocol-Version: 2031-01-01"}, want{era: mcp.Modern, kind: mcp.Post}},
		{"modern ignores sessions", "POST", "/mcp", fields{"MCP-Protocol-Version: 2026-07-28", "Mcp-Session-Id: abc", "Mcp-Session-Id: \x01"}, want{era: mcp.Modern, kind: mcp.Post}},
		{"a word is no version", "POST", "/mcp", fields{"MCP-Protocol-Version: draft"}, want{kind: mcp.Post}},
		{"a word as long as a date", "POST", "/mcp", fields{"MCP-Protocol-Version: next-draft"}, want{kind: mcp.Post}},
		{"a month that is none", "POST", "/mcp", fields{"MCP-Protocol-Version: 2026-13-01"}, want{kind: mcp.Post}},
		{"a day that is none", "POST", "/mcp", fields{"MCP-Protocol-Version: 2027-01-00"}, want{kind: mcp.Post}},
		{"a date and more", "POST", "/mcp", fields{"MCP-Protocol-Version: 2026-07-28x"}, want{kind: mcp.Post}},
		{"no digits in the year", "POST", "/mcp", fields{"MCP-Protocol-Version: 2o26-08-01"}, want{kind: mcp.Post}},
		{"two versions", "POST", "/mcp", fields{"MCP-Protocol-Version: 2026-07-28", "MCP-Protocol-Version: 2026-07-28"}, want{kind: mcp.Post}},

		{"an event stream", "GET", "/mcp", fields{"Accept: text/event-stream", "Mcp-Session-Id: abc"}, want{kind: mcp.Stream, id: "abc"}},
		{"an event stream is never modern", "GET", "/mcp", fields{"Accept: text/event-stream", "Mcp-Session-Id: abc", "MCP-Protocol-Version: 2026-07-28"}, want{kind: mcp.Stream, id: "abc"}},
		{"among others, in any case", "GET", "/mcp", fields{"Accept: application/json, Text/Event-Stream;q=0.5", "Mcp-Session-Id: abc"}, want{kind: mcp.Stream, id: "abc"}},
		{"in a second header", "GET", "/mcp", fields{"Accept: application/json", "accept: text/event-stream", "Mcp-Session-Id: abc"}, want{kind: mcp.Stream, id: "abc"}},
		{"an event stream without a session", "GET", "/mcp", fields{"Accept: text/event-stream"}, want{kind: mcp.BadMethod, status: 405}},
		{"events are not wanted", "GET", "/mcp", fields{"Accept: text/html, text/event-stream; q=0.0", "Mcp-Session-Id: abc"}, want{kind: mcp.Plain}},
		{"a browser", "GET", "/mcp", fields{"Accept: text/html,*/*;q=0.8"}, want{kind: mcp.Plain}},
		{"no Accept", "GET", "/mcp", fields{"Mcp-Session-Id: \x00"}, want{kind: mcp.Plain}},

		{"the end of a session", "DELETE", "/mcp", fields{"Mcp-Session-Id: abc"}, want{kind: mcp.Delete, id: "abc"}},
		{"the end of no session", "DELETE", "/mcp", nil, want{kind: mcp.Delete, status: 400}},

		{"CORS", "OPTIONS", "/mcp", fields{"Mcp-Session-Id: a b"}, want{kind: mcp.Plain}},
		{"HEAD", "HEAD", "/mcp", nil, want{kind: mcp.Plain}},
		{"well known", "GET", "/.well-known/oauth-protected-resource/mcp", fields{"Accept: text/event-stream"}, want{kind: mcp.Plain}},
		{"well known below a path", "GET", "/mcp/.well-known/openid-configuration", nil, want{kind: mcp.Plain}},
		{"not well known", "GET", "/mcp.well-known/x", fields{"Accept: text/event-stream"}, want{kind: mcp.BadMethod, status: 405}},
		{"a server card", "GET", "/mcp/server-card", fields{"Accept: text/event-stream"}, want{kind: mcp.Plain}},
		{"a POST to a server card is MCP", "POST", "/mcp/server-card", fields{"Mcp-Session-Id: abc"}, want{kind: mcp.Post, id: "abc"}},

		{"PUT", "PUT", "/mcp", nil, want{kind: mcp.BadMethod, status: 405}},
		{"a method that is none", "post", "/mcp", nil, want{kind: mcp.BadMethod, status: 405}},

		{"two sessions", "POST", "/mcp", fields{"Mcp-Session-Id: a", "mcp-session-id: a"}, want{kind: mcp.Post, status: 400}},
		{"a list of sessions", "POST", "/mcp", fields{"Mcp-Session-Id: a, b"}, want{kind: mcp.Post, status: 400}},
		{"an empty session", "GET", "/mcp", fields{"Accept: text/event-stream", "Mcp-Session-Id: "}, want{kind: mcp.Stream, status: 400}},
		{"a session of 257 bytes", "DELETE", "/mcp", fields{"Mcp-Session-Id: " + long}, want{kind: mcp.Delete, status: 400}},
		{"a session of 256 bytes", "DELETE", "/mcp", fields{"Mcp-Session-Id: " + long[1:]}, want{kind: mcp.Delete, id: long[1:]}},
		{"a session with a control byte", "POST", "/mcp", fields{"Mcp-Session-Id: a\rb"}, want{kind: mcp.Post, status: 400}},
		{"a session with 8 bits", "POST", "/mcp", fields{"Mcp-Session-Id: é"}, want{kind: mcp.Post, status: 400}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := mcp.Classify(c.method, c.path, c.head)
			status := 0
			if got.Err != nil {
				status = got.Err.Status
			}
			if g := (want{got.Era, got.Kind, got.SessionID, status}); g != c.want {
				t.Errorf("got %+v, want %+v", g, c.want)
			}
			if got.Kind == mcp.BadMethod && got.Err.Allow == "" {
				t.Error("405 without Allow: RFC 9110, section 15.5.6 demands it")
			}
		})
	}
}

func FuzzClassify(f *testing.F) {
	f.Add("POST", "/mcp", "abc", "2026-07-28", "text/event-stream")
	f.Add("GET", "/.well-known/x", "", "2026-7-28", "*/*;q=,;;=")
	f.Fuzz(func(t *testing.T, method, path, session, version, accept string) {
		head := fields{"Accept: " + accept, "MCP-Protocol-Version: " + version}
		if session != "" {
			head = append(head, "Mcp-Session-Id: "+session)
		}
		c := mcp.Classify(method, path, head)
		if c.SessionID != "" && !mcp.ValidSessionID(c.SessionID) {
			t.Errorf("session %q", c.SessionID)
		}
		if c.Era == mcp.Modern && (method != "POST" || version < mcp.FirstModern || c.SessionID != "") {
			t.Errorf("%s %q is modern", method, version)
		}
		if (c.Kind == mcp.BadMethod || c.Kind == mcp.Stream && c.SessionID == "") && c.Err == nil {
			t.Errorf("%+v is let through", c)
		}
		a := c.Route("", false)
		if (a.Refusal != nil) != (a.Do == mcp.Refuse || a.Do == mcp.RefuseUnlessInitialize) {
			t.Errorf("action %+v", a)
		}
	})
}

func TestNamesAreForPeople(t *testing.T) {
	got := []string{mcp.Legacy.String(), mcp.Modern.String(), mcp.Plain.String(), mcp.Post.String(), mcp.Stream.String(), mcp.Delete.String(), mcp.BadMethod.String()}
	if diff := cmp.Diff([]string{"legacy", "modern", "plain", "post", "stream", "delete", "bad-method"}, got); diff != "" {
		t.Error(diff)
	}
}

// one is a head with one session and one version, without the allocations of fields.
type one struct{ session, version string }

func (o one) Get(name string) string {
	switch name {
	case mcp.HeaderSession:
		return o.session
	case mcp.HeaderVersion:
		return o.version
	}
	return "application/json, text/event-stream"
}

func (o one) Count(name string) int { return min(1, len(o.Get(name))) }

func BenchmarkClassify(b *testing.B) {
	var h mcp.Header = one{"EPLQ5LGVZBDLNBB3R6WVCYWTPG", "2025-11-25"}
	b.ReportAllocs()
	for b.Loop() {
		if c := mcp.Classify("GET", "/mcp", h); c.Kind != mcp.Stream {
			b.Fatal(c)
		}
	}
}

func TestClassifyDoesNotAllocate(t *testing.T) {
	var h mcp.Header = one{"EPLQ5LGVZBDLNBB3R6WVCYWTPG", "2025-11-25"}
	if n := testing.AllocsPerRun(100, func() { mcp.Classify("GET", "/mcp", h); mcp.Classify("POST", "/mcp", h) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
