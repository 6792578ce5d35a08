// SPDX-License-Identifier: Apache-2.0

package backend

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"meridian/topology"
)

// refused checks that an answer is the 503 that a client of either era takes as "try again".
func refused(t *testing.T, what string, res *http.Response) {
	t.Helper()
	if res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Retry-After") == "" {
		t.Errorf("%s: got %s, Retry-After %q; want 503 with Retry-After", what, res.Status, res.Header.Get("Retry-After"))
	}
}

func TestSessionsAreBounded(t *testing.T) {
	r := start(t, Config{MaxSessions: 2})
	first := r.session(t)
	r.session(t)
	res, _ := r.raw(t, "POST", "/mcp", initialize, nil)
	refused(t, "the third session", res)
	h := map[string]string{"Mcp-Session-Id": first, "MCP-Protocol-Version": legacy}
	if res, _ := r.raw(t, "DELETE", "/mcp", "", h); res.StatusCode != http.StatusNoContent {
		t.Fatalf("DELETE: %s", res.Status)
	}
	r.session(t) // has room again
}

func TestRequestsAtOnceAreBounded(t *testing.T) {
	r := start(t, Config{Capacity: topology.Capacity{Connections: 1}})
	s := r.dial(t, modern, nil)
	answer := r.slowEcho(t.Context(), t, s, time.Second)
	res, _ := r.raw(t, "POST", "/mcp", initialize, nil)
	refused(t, "a second request", res)
	if res, _ := r.raw(t, "GET", "/healthz", "", nil); res.StatusCode != 200 {
		t.Errorf("healthz of a busy worker: %s, want 200", res.Status)
	}
	if err := <-answer; err != nil {
		t.Errorf("the first: %v", err)
	}
	until(t, "there is room", func() bool { return r.Load().InFlight == 0 })
	r.session(t)
}

func TestRequestsASecondAreBounded(t *testing.T) {
	r := start(t, Config{Capacity: topology.Capacity{RPS: 0.1}})
	if res, body := r.raw(t, "POST", "/mcp", initialize, nil); res.StatusCode != 200 {
		t.Fatalf("the first: %s %s", res.Status, body)
	}
	res, _ := r.raw(t, "POST", "/mcp", initialize, nil)
	refused(t, "the second", res)
}

func TestConnectionsAreBounded(t *testing.T) {
	r := start(t, Config{MaxConnections: 1})
	first, err := net.Dial("tcp", r.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	until(t, "the first is counted", func() bool { return r.Load().Connections == 1 })
	second, err := net.Dial("tcp", r.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	second.SetDeadline(time.Now().Add(patience))
	if _, err := second.Read(make([]byte, 1)); err == nil || strings.Contains(err.Error(), "timeout") {
		t.Errorf("the second connection: got %v, want it closed", err)
	}
	fmt.Fprintf(first, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
	res, err := http.ReadResponse(bufio.NewReader(first), nil)
	if err != nil || res.StatusCode != 200 {
		t.Errorf("the first connection: %v, %v; want it served", res, err)
	}
}

func TestABodyThatIsTooLongIsRefused(t *testing.T) {
	r := start(t, Config{MaxBodyBytes: 1000})
	for _, version := range []string{legacy, modern} {
		h := map[string]string{"MCP-Protocol-Version": version, "Mcp-Method": "tools/call", "Mcp-Name": "echo"}
		if version == legacy {
			h["Mcp-Session-Id"] = r.session(t)
		}
		res, body := r.raw(t, "POST", "/mcp", call(2, "echo", `{"text":"`+strings.Repeat("x", 2000)+`"}`), h)
		if res.StatusCode != http.StatusRequestEntityTooLarge {
			t.Errorf("%s: got %s %s, want 413", version, res.Status, body)
		}
	}
}

func TestABodyThatNeverComesIsGivenUp(t *testing.T) {
	r := start(t, Config{BodyTimeout: 50 * time.Millisecond})
	c, err := net.Dial("tcp", r.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nAccept: */*\r\nContent-Length: 100\r\n\r\n{")
	c.SetDeadline(time.Now().Add(patience))
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err == nil && res.StatusCode < 400 {
		t.Errorf("got %s, want a refusal or the connection's end", res.Status)
	}
	until(t, "nothing is in flight", func() bool { return r.Load().InFlight == 0 })
}

func TestACallMayTakeLongerThanItsBody(t *testing.T) {
	r := start(t, Config{BodyTimeout: 100 * time.Millisecond})
	for _, version := range []string{legacy, modern} {
		if _, err := echoOf(t.Context(), r.dial(t, version, nil), map[string]any{"text": "x", "delay_ms": 400}); err != nil {
			t.Errorf("%s: %v", version, err)
		}
	}
}

func TestAForeignHostOnLoopbackIsRefused(t *testing.T) {
	r := start(t, Config{})
	req, err := http.NewRequestWithContext(t.Context(), "POST", r.url+"/mcp", strings.NewReader(initialize))
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "evil.example.org"
	tr := &http.Transport{DisableKeepAlives: true}
	res, err := (&http.Client{Transport: tr}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusForbidden {
		t.Errorf("got %s, want 403", res.Status)
	}
}

func TestOnlyKnownPathsAreServed(t *testing.T) {
	r := start(t, Config{})
	for path, want := range map[string]int{"/": 404, "/mcp/x": 404, "/healthz": 200} {
		if res, _ := r.raw(t, "GET", path, "", nil); res.StatusCode != want {
			t.Errorf("GET %s: got %s, want %d", path, res.Status, want)
		}
	}
	if res, body := r.raw(t, "POST", "/mcp/", initialize, nil); res.StatusCode != 200 {
		t.Errorf("POST /mcp/: %s %s", res.Status, body)
	}
}

func TestRequestsAreSortedByEraAndKind(t *testing.T) {
	for _, c := range []struct {
		method string
		header map[string]string
		want   class
	}{
		{"POST", nil, class{opens: true}},
		{"POST", map[string]string{"Mcp-Session-Id": "a"}, class{bound: true}},
		{"POST", map[string]string{"Mcp-Session-Id": "a", "MCP-Protocol-Version": modern}, class{modern: true}},
		{"POST", map[string]string{"MCP-Protocol-Version": modern, "Mcp-Method": listenMethod}, class{modern: true, listen: true}},
		{"POST", map[string]string{"MCP-Protocol-Version": legacy, "Mcp-Method": listenMethod}, class{opens: true}},
		{"GET", map[string]string{"Mcp-Session-Id": "a"}, class{bound: true, standing: true}},
		{"GET", map[string]string{"Mcp-Session-Id": "a", "Last-Event-ID": "_3"}, class{bound: true, standing: true}},
		{"GET", map[string]string{"Mcp-Session-Id": "a", "Last-Event-ID": "XYZ_3"}, class{bound: true}},
		{"DELETE", map[string]string{"Mcp-Session-Id": "a"}, class{bound: true}},
	} {
		req, err := http.NewRequest(c.method, "http://localhost/mcp", nil)
		if err != nil {
			t.Fatal(err)
		}
		for k, v := range c.header {
			req.Header.Set(k, v)
		}
		if got := classOf(req); got != c.want {
			t.Errorf("%s %v: got %+v, want %+v", c.method, c.header, got, c.want)
		}
	}
}
