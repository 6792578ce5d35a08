// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"meridian/topology"
)

// answers is an edge that says always the same.
func answers() Config {
	return Config{
		Listen: "127.0.0.1:0",
		Ready:  func() (bool, string) { return true, "" },
		Report: func() *topology.Report { return &topology.Report{Seq: 7} },
		Status: func() Status { return Status{Edge: "edge-1", Region: "lab", Ready: true} },
		Get: func(k topology.Kind) []Item {
			switch k {
			case topology.KindNode:
				return []Item{{Kind: k, Name: "n-1", Live: true, Value: &topology.Node{Name: "n-1", Pool: "mcp"}}}
			case topology.KindDrain:
				return []Item{{Kind: k, Name: "node/n-1", Value: &topology.Drain{Name: "node/n-1"}}}
			}
			return []Item{}
		},
		ExplainDNS: func(name string, from netip.Addr) (DNSExplanation, error) {
			if name != "mcp.test" {
				return DNSExplanation{}, fmt.Errorf("the authority has no name %q", name)
			}
			return DNSExplanation{Name: "mcp.test", From: from, Region: "lab"}, nil
		},
		ExplainHTTP: func(method string, u *url.URL) (HTTPExplanation, error) {
			return HTTPExplanation{Method: method, Host: u.Host, Path: u.Path, Node: "n-1"}, nil
		},
		ExplainRequest: func(id string) []RequestExplanation {
			if id != "an-id" {
				return nil
			}
			return []RequestExplanation{{ID: id, State: "streaming", Attempts: []AttemptExplanation{{Why: "latency zone 1/3 hot"}}}}
		},
		Reload:  func() ([]string, []string) { return []string{"log.level"}, nil },
		Metrics: func(w io.Writer) { io.WriteString(w, "meridian_ready 1\n") },
	}
}

// ask sends one request to the handler, as curl on the machine does, and returns status and body.
func ask(t *testing.T, cfg Config, method, target string, change ...func(*http.Request)) (*http.Response, string) {
	t.Helper()
	r := httptest.NewRequest(method, target, nil)
	r.Host = "127.0.0.1:9090"
	for _, f := range change {
		f(r)
	}
	w := httptest.NewRecorder()
	New(cfg).Handler().ServeHTTP(w, r)
	return w.Result(), w.Body.String()
}

func TestEveryAnswerHasItsStatusAndItsForm(t *testing.T) {
	for _, c := range []struct {
		target string
		status int
		body   string // a part of it
	}{
		{"/healthz", 200, "ok\n"},
		{"/readyz", 200, `{"ready":true}`},
		{"/metrics", 200, "meridian_ready 1\n"},
		{"/api/v1/status", 200, `"edge":"edge-1"`},
		{"/api/v1/report", 200, `"seq":7`},
		{"/api/v1/resources/nodes", 200, `[{"kind":"nodes","name":"n-1","live":true,"value":{`},
		{"/api/v1/resources/node", 200, `"name":"n-1"`},
		{"/api/v1/resources/pools", 200, "[]\n"},
		{"/api/v1/resources/drains/node/n-1", 200, `"name":"node/n-1"`},
		{"/api/v1/resources/drains/node%2Fn-1", 200, `"name":"node/n-1"`},
		{"/api/v1/resources/nodes/n-2", 404, `{"error":"there is no node \"n-2\""}`},
		{"/api/v1/resources/cows", 404, "is not a kind; want one of"},
		{"/api/v1/resources/cows/elsie", 404, "is not a kind; want one of"},
		{"/api/v1/explain/dns?name=mcp.test&from=192.0.2.1", 200, `"region":"lab"`},
		{"/api/v1/explain/dns?name=mcp.test&from=nowhere", 400, `from=\"nowhere\" is not an IP address`},
		{"/api/v1/explain/dns?name=mcp.test", 400, `is not an IP address`},
		{"/api/v1/explain/dns?name=other.test&from=192.0.2.1", 404, `has no name \"other.test\"`},
		{"/api/v1/explain/http?method=POST&url=http://mcp.test/mcp", 200, `"host":"mcp.test","path":"/mcp"`},
		{"/api/v1/explain/http?url=http://mcp.test/mcp", 400, "method is missing"},
		{"/api/v1/explain/http?method=GET&url=mcp.test/mcp", 400, "want http://HOST/PATH"},
		{"/api/v1/explain/http?method=GET&url=%25", 400, "is not a URL"},
		{"/nothing", 404, "/api/v1/status"},
		{"/", 404, "there is no /"},
	} {
		resp, body := ask(t, answers(), "GET", c.target)
		if resp.StatusCode != c.status || !strings.Contains(body, c.body) {
			t.Errorf("%s: got %d %s; want %d with %s", c.target, resp.StatusCode, body, c.status, c.body)
		}
		if resp.Header.Get("X-Content-Type-Options") != "nosniff" || resp.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: headers %v", c.target, resp.Header)
		}
		if strings.Contains(c.target, "/api/") && resp.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: content type %q", c.target, resp.Header.Get("Content-Type"))
		}
	}
}

func TestAnEdgeThatIsNotReadySaysWhy(t *testing.T) {
	cfg := answers()
	cfg.Ready = func() (bool, string) { return false, "there is no topology yet" }
	resp, body := ask(t, cfg, "GET", "/readyz")
	if want := `{"ready":false,"reason":"there is no topology yet"}` + "\n"; resp.StatusCode != 503 || body != want {
		t.Errorf("got %d %s; want 503 %s", resp.StatusCode, body, want)
	}
	if resp, _ := ask(t, cfg, "GET", "/healthz"); resp.StatusCode != 200 {
		t.Errorf("/healthz gives %d; an edge that waits for its topology is alive", resp.StatusCode)
	}
}

func TestAnEdgeWithoutAReportFailsTheProbesOfOthers(t *testing.T) {
	cfg := answers()
	cfg.Report = func() *topology.Report { return nil }
	if resp, body := ask(t, cfg, "GET", "/api/v1/report"); resp.StatusCode != 503 || !strings.Contains(body, "the edge is ending") {
		t.Errorf("got %d %s; want 503", resp.StatusCode, body)
	}
}

func TestOnlyAnAddressOrLocalhostMayBeAsked(t *testing.T) {
	for host, status := range map[string]int{
		"127.0.0.1": 200, "127.0.0.1:9090": 200, "[::1]:9090": 200, "[::1]": 200, "localhost": 200, "LocalHost:9090": 200, "10.1.2.3:1": 200,
		"evil.example": 403, "evil.example:9090": 403, "127.0.0.1.evil.example:9090": 403, "localhost.evil.example": 403, "": 403, "1": 403,
	} {
		resp, body := ask(t, answers(), "GET", "/api/v1/status", func(r *http.Request) { r.Host = host })
		if resp.StatusCode != status {
			t.Errorf("Host %q: got %d %s; want %d", host, resp.StatusCode, body, status)
		}
	}
}

func TestTheAPIOnlyReads(t *testing.T) {
	for _, method := range []string{"POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT"} {
		resp, body := ask(t, answers(), method, "/api/v1/resources/nodes/n-1")
		if resp.StatusCode != 405 || resp.Header.Get("Allow") != "GET, HEAD" || !strings.Contains(body, "edge apply") {
			t.Errorf("%s: got %d %v %s; want 405 with Allow", method, resp.StatusCode, resp.Header, body)
		}
	}
	if resp, _ := ask(t, answers(), "HEAD", "/api/v1/status"); resp.StatusCode != 200 {
		t.Errorf("HEAD: got %d", resp.StatusCode)
	}
}

// serve runs a server until the test ends and returns its address.
func serve(t *testing.T, cfg Config) string {
	t.Helper()
	s := New(cfg)
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-ended:
			if !errors.Is(err, context.Canceled) {
				t.Errorf("Run: %v", err)
			}
		case <-time.After(20 * time.Second):
			t.Error("Run does not end")
		}
	})
	return s.Addr().String()
}

func TestAPortThatIsTakenIsNamedWithItsField(t *testing.T) {
	cfg := answers()
	cfg.Listen = serve(t, answers())
	err := New(cfg).Listen()
	if err == nil || !strings.Contains(err.Error(), cfg.Listen) || !strings.Contains(err.Error(), "admin.listen") {
		t.Errorf("got %v", err)
	}
	cfg.Listen = "192.0.2.1:1"
	if err := New(cfg).Listen(); err == nil || !strings.Contains(err.Error(), "192.0.2.1:1") {
		t.Errorf("an address that the machine has not: got %v", err)
	}
}

func TestRunEndsWithinItsGraceWhileAReaderIsStuck(t *testing.T) {
	asked, release := make(chan struct{}), make(chan struct{})
	cfg := answers()
	cfg.Metrics = func(io.Writer) { close(asked); <-release }
	s := New(cfg)
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	c, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, "GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
	<-asked
	cancel()
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		t.Error("Run waits for ever")
	}
	close(release)
}

func TestConnectionsBeyondTheBoundAreClosed(t *testing.T) {
	hook := bound(1)
	one, other := net.Pipe()
	defer one.Close()
	defer other.Close()
	beyond, peer := net.Pipe()
	defer peer.Close()
	hook(one, http.StateNew)
	hook(beyond, http.StateNew)
	if _, err := beyond.Write([]byte("x")); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("the second connection is open: %v", err)
	}
	hook(beyond, http.StateClosed)
	hook(one, http.StateClosed)
	third, fourth := net.Pipe()
	defer fourth.Close()
	hook(third, http.StateNew)
	if err := third.SetDeadline(time.Now().Add(time.Hour)); err != nil {
		t.Errorf("a connection after the others have gone is closed: %v", err)
	}
	third.Close()
}
