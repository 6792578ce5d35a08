// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"meridian/internal/testnet"
	"meridian/topology"
)

func TestARequestIsLoggedInOneLine(t *testing.T) {
	e := newEdge(t)
	e.httpNode("n1", "web", func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) })
	e.ask("POST", "/a%20b/"+strings.Repeat("x", 300)+"?secret=1", "hello")
	testnet.Wait(t, "the line", func() bool { return strings.HasSuffix(e.logged(), "}\n") })
	var got struct {
		Time                                          time.Time
		Client, Method, Host, Path, Route, Pool, Node string
		Status, Tries                                 int
		BytesIn                                       int     `json:"bytes_in"`
		BytesOut                                      int     `json:"bytes_out"`
		Duration                                      float64 `json:"duration_ms"`
		TTFB                                          float64 `json:"ttfb_ms"`
	}
	if err := json.Unmarshal([]byte(e.logged()), &got); err != nil {
		t.Fatalf("%v in %s", err, e.logged())
	}
	if got.Client != "127.0.0.1" || got.Method != "POST" || got.Host != e.addr || len(got.Path) != 256 || !strings.HasPrefix(got.Path, "/a%20b/x") ||
		got.Status != 200 || got.BytesIn != 5 || got.BytesOut != 5 || got.Route != "web" || got.Pool != "web" || got.Node != "n1" || got.Tries != 1 ||
		got.TTFB <= 0 || got.Duration < got.TTFB || time.Since(got.Time) > time.Minute || strings.Contains(e.logged(), "secret") {
		t.Errorf("got %s", e.logged())
	}
}

func TestLogLinesStayOneLineOfJSONWhateverIsInThem(t *testing.T) {
	l := line{client: "a\"b\\c\n\x00\x7f", path: "\xff\xfe€" + strings.Repeat("é", 200), at: time.Unix(0, 0)}
	got := l.append(nil, &record{err: "x\ry"})
	var v map[string]any
	if err := json.Unmarshal(got, &v); err != nil || bytes.Count(got, []byte("\n")) != 1 {
		t.Fatalf("%v in %q", err, got)
	}
	if v["client"] != "a\"b\\c\n\x00\x7f" || v["err"] != "x\ry" || !strings.HasPrefix(v["path"].(string), "\ufffd\ufffd€é") {
		t.Errorf("got %q", v)
	}
}

func TestAStuckLogCostsLinesAndNoRequest(t *testing.T) {
	stuck := make(chan struct{})
	a := newAccessLog(writerFunc(func(p []byte) (int, error) { <-stuck; return len(p), nil }))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { a.run(ctx); close(done) }()
	for range logQueue + 2000 {
		a.add(&line{}, &record{})
	}
	if got := a.dropped.Load(); got < 1000 {
		t.Errorf("%d lines were dropped", got)
	}
	cancel()
	close(stuck)
	<-done
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestMetricsCountRequestsByPoolAndClass(t *testing.T) {
	set := metrics.NewSet()
	e := newEdge(t, func(c *Config) { c.Metrics = set })
	e.httpNode("n1", "web", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(404) })
	e.ask("GET", "/", "")
	e.ask("POST", "/mcp", "{}")
	c := testnet.Dial(t, e.addr)
	c.Send("BAD\r\n\r\n")
	c.ReadAll()
	testnet.Wait(t, "the requests to be counted", func() bool { // that is after their answers
		m := e.s.metrics
		return m.inFlight.Load() == 0 && m.of("web").classes[4].Get() == 1 && m.of("mcp").classes[5].Get() == 1
	})
	var b bytes.Buffer
	set.WritePrometheus(&b)
	for _, want := range []string{
		`meridian_http_requests_total{pool="web",code_class="4xx"} 1`, `meridian_http_requests_total{pool="mcp",code_class="5xx"} 1`,
		`meridian_http_own_answers_total{pool="mcp"} 1`, `meridian_http_requests_refused_total 1`, `meridian_upstream_connects_total 1`,
		`meridian_http_request_duration_seconds_count{pool="web"} 1`, `meridian_http_requests_in_flight 0`,
	} {
		if !strings.Contains(b.String(), want+"\n") {
			t.Errorf("there is no %s in\n%s", want, b.String())
		}
	}
}

func TestHealthzIsTheEdgesOwnOnlyWhereNoRouteTakesIt(t *testing.T) {
	well := true
	e := newEdge(t, func(c *Config) { c.Health = func() (bool, []byte) { return well, []byte(`{"ok":true}`) } })
	if status, _, _ := e.ask("GET", "/healthz", ""); status != 503 { // the route "web" takes every path and has no node
		t.Errorf("with a route: %d", status)
	}
	delete(e.set, topology.Key{Kind: topology.KindRoute, Name: "web"})
	e.apply()
	if status, body, h := e.ask("GET", "/healthz", ""); status != 200 || body != `{"ok":true}` || h.Get("Content-Type") != "application/json" {
		t.Errorf("got %d %q %v", status, body, h)
	}
	well = false
	if status, _, _ := e.ask("GET", "/healthz", ""); status != 503 {
		t.Errorf("unwell: %d", status)
	}
	if status, body, _ := e.ask("GET", "/other", ""); status != 404 || body != "no route takes this host, path and method\n" {
		t.Errorf("no route: %d %q", status, body)
	}
}

func TestExplainSaysRoutePoolAndNode(t *testing.T) {
	e := newEdge(t)
	x := e.s.Explain("GET", "a.test:80", "/x")
	if x.Route != "web" || x.Chosen != "" || !strings.Contains(x.Why, "pool web has no node: 503") {
		t.Errorf("without a node: %+v", x)
	}
	e.node("n1", "mcp", "127.0.0.1:1")
	x = e.s.Explain("POST", "localhost", "/mcp")
	if x.Route != "mcp" || x.Pool != "mcp" || x.Chosen != "n1" || len(x.Candidates) != 1 || !strings.Contains(x.Why, "session's worker") {
		t.Errorf("got %+v", x)
	}
	if l := e.table.Load("n1"); l.InFlight != 0 {
		t.Errorf("Explain left %+v", l)
	}
	delete(e.set, topology.Key{Kind: topology.KindRoute, Name: "web"})
	e.apply()
	if x = e.s.Explain("GET", "a.test", "/"); x.Why != "no route takes this host, path and method: 404" {
		t.Errorf("no route: %+v", x)
	}
}
