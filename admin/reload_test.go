// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAReloadIsRefusedToAllButThisMachinesOwnProgram(t *testing.T) {
	for name, c := range map[string]struct {
		method, peer, host, header string
		status                     int
	}{
		"edge reload":            {"POST", "127.0.0.1:5", "127.0.0.1:9090", "1", 200},
		"over IPv6":              {"POST", "[::1]:5", "[::1]:9090", "1", 200},
		"from another machine":   {"POST", "10.0.0.7:5", "10.0.0.1:9090", "1", 403},
		"a page's form":          {"POST", "127.0.0.1:5", "127.0.0.1:9090", "", 403},
		"a rebound name":         {"POST", "127.0.0.1:5", "evil.example", "1", 403},
		"a link":                 {"GET", "127.0.0.1:5", "127.0.0.1:9090", "1", 405},
		"a preflight for a page": {"OPTIONS", "127.0.0.1:5", "127.0.0.1:9090", "", 405},
	} {
		t.Run(name, func(t *testing.T) {
			asked := false
			cfg := answers()
			cfg.Reload = func() ([]string, []string) { asked = true; return nil, nil }
			r := httptest.NewRequest(c.method, "http://x/api/v1/reload", nil)
			r.RemoteAddr, r.Host = c.peer, c.host
			if c.header != "" {
				r.Header.Set(reloadHeader, c.header)
			}
			w := httptest.NewRecorder()
			New(cfg).Handler().ServeHTTP(w, r)
			if w.Code != c.status || asked != (c.status == 200) {
				t.Errorf("got %d %s, reloaded: %v; want %d", w.Code, w.Body, asked, c.status)
			}
			if w.Header().Get("Access-Control-Allow-Origin") != "" {
				t.Error("a page may read the answer")
			}
		})
	}
}

func TestTheClientReloadsAndIsToldEveryMistake(t *testing.T) {
	cfg := answers()
	c := Client{URL: "http://" + serve(t, cfg)}
	if r, err := c.Reload(context.Background()); err != nil || cmp.Diff([]string{"log.level"}, r.Changed) != "" || r.Mistakes != nil {
		t.Errorf("got %+v, %v", r, err)
	}
	cfg.Reload = func() ([]string, []string) { return nil, []string{"edge.yaml:1:1: a", "edge.yaml:2:1: b"} }
	c = Client{URL: "http://" + serve(t, cfg)}
	if r, err := c.Reload(context.Background()); err != nil || len(r.Mistakes) != 2 || r.Changed != nil {
		t.Errorf("got %+v, %v", r, err)
	}
	old := httptest.NewServer(http.NotFoundHandler())
	defer old.Close()
	if _, err := (Client{URL: old.URL}).Reload(context.Background()); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("an edge that knows no reload: %v", err)
	}
}
