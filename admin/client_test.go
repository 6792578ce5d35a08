// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"meridian/topology"
)

func TestTheClientReadsWhatTheServerSays(t *testing.T) {
	ctx := context.Background()
	c := Client{URL: "http://" + serve(t, answers()) + "/"} // a slash at the end does no harm
	if st, err := c.Status(ctx); err != nil || st.Edge != "edge-1" || !st.Ready {
		t.Errorf("Status: %+v, %v", st, err)
	}
	if items, err := c.List(ctx, topology.KindNode); err != nil || len(items) != 1 || items[0].Name != "n-1" || !items[0].Live {
		t.Errorf("List: %+v, %v", items, err)
	}
	if it, err := c.Get(ctx, topology.Key{Kind: topology.KindDrain, Name: "node/n-1"}); err != nil || it.Name != "node/n-1" {
		t.Errorf("Get: %+v, %v", it, err)
	}
	if x, err := c.ExplainDNS(ctx, "mcp.test", "192.0.2.1"); err != nil || x.Region != "lab" || x.From.String() != "192.0.2.1" {
		t.Errorf("ExplainDNS: %+v, %v", x, err)
	}
	if x, err := c.ExplainHTTP(ctx, "POST", "http://a.test/x?y=1&z=2"); err != nil || x.Host != "a.test" || x.Path != "/x" || x.Node != "n-1" {
		t.Errorf("ExplainHTTP: %+v, %v", x, err)
	}
	if err := c.Ready(ctx); err != nil {
		t.Errorf("Ready: %v", err)
	}
}

// TestANameIsAskedForAsItIs holds that no character of a name changes what is asked for.
func TestANameIsAskedForAsItIs(t *testing.T) {
	c := Client{URL: "http://" + serve(t, answers())}
	for _, name := range []string{"n-1?x", "n-1#x", "%zz", "a b", "n-1%20", `"`} {
		_, err := c.Get(context.Background(), topology.Key{Kind: topology.KindNode, Name: name})
		if err == nil || !strings.HasPrefix(err.Error(), "there is no node ") {
			t.Errorf("%q: got %v; want that there is no such node", name, err)
		}
	}
}

func TestTheServersWordsAreTheError(t *testing.T) {
	cfg := answers()
	cfg.Ready = func() (bool, string) { return false, "there is no topology yet" }
	c := Client{URL: "http://" + serve(t, cfg)}
	if err := c.Ready(context.Background()); err == nil || err.Error() != "there is no topology yet" {
		t.Errorf("Ready: %v", err)
	}
	if _, err := c.ExplainDNS(context.Background(), "other.test", "192.0.2.1"); err == nil || err.Error() != `the authority has no name "other.test"` {
		t.Errorf("ExplainDNS: %v", err)
	}
}

func TestEachWayToFailIsTold(t *testing.T) {
	answer := func(status int, body string) string {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			w.Write([]byte(body))
		}))
		t.Cleanup(s.Close)
		return s.URL
	}
	closed := httptest.NewServer(nil)
	closed.Close()
	for _, c := range []struct{ url, want string }{
		{closed.URL, "is it running? give its admin address with --admin"},
		{answer(200, "<html>"), "is not Meridian's JSON; is --admin right?"},
		{answer(502, "<html>"), "answered 502 Bad Gateway"},
		{answer(500, "{}"), "answered 500 Internal Server Error"},
		{"http://[::1", `--admin "http://[::1" is not a URL`},
		{"ftp://127.0.0.1", "unsupported protocol scheme"},
	} {
		_, err := Client{URL: c.url}.Status(context.Background())
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v; want %q in it", c.url, err, c.want)
		}
	}
}

func TestAnEdgeThatHangsIsGivenUp(t *testing.T) {
	hanging := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hanging }))
	defer s.Close()
	defer close(hanging)
	c := Client{URL: s.URL, Timeout: 50 * time.Millisecond}
	if _, err := c.Status(context.Background()); err == nil || !strings.Contains(err.Error(), "deadline exceeded") {
		t.Errorf("its own time-out: got %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := c.Status(ctx); err == nil || !strings.HasPrefix(err.Error(), "ended before") {
		t.Errorf("a caller who gives up: got %v; want no advice on --admin", err)
	}
}

func TestABigAnswerIsReadWhole(t *testing.T) {
	cfg := answers()
	cfg.Status = func() Status {
		nodes := make([]NodeStatus, 10000)
		for i := range nodes {
			nodes[i] = NodeStatus{Name: "n", Address: "10.0.0.1:80", Reason: strings.Repeat("x", 200)}
		}
		return Status{Nodes: nodes}
	}
	st, err := Client{URL: "http://" + serve(t, cfg), Timeout: 20 * time.Second}.Status(context.Background())
	if err != nil || len(st.Nodes) != 10000 {
		t.Errorf("got %d nodes, %v", len(st.Nodes), err)
	}
}
