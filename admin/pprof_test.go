// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestProfilesAreForThisMachineOnly(t *testing.T) {
	for name, c := range map[string]struct {
		peer, path string
		status     int
	}{
		"here":                      {"127.0.0.1:5", "/debug/pprof/heap", 200},
		"over IPv6, as text":        {"[::1]:5", "/debug/pprof/goroutine?debug=1", 200},
		"another machine":           {"10.0.0.7:5", "/debug/pprof/heap", 403},
		"another machine's seconds": {"10.0.0.7:5", "/debug/pprof/profile?seconds=1", 403},
		"an unknown one":            {"127.0.0.1:5", "/debug/pprof/cmdline", 404},
		"no seconds":                {"127.0.0.1:5", "/debug/pprof/profile?seconds=0", 400},
		"too many seconds":          {"127.0.0.1:5", "/debug/pprof/profile?seconds=301", 400},
		"seconds that overflow":     {"127.0.0.1:5", "/debug/pprof/profile?seconds=99999999999999999999", 400},
		"seconds that wrap around":  {"127.0.0.1:5", "/debug/pprof/profile?seconds=18446744075", 400},
		"no number":                 {"127.0.0.1:5", "/debug/pprof/profile?seconds=x", 400},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, "http://127.0.0.1:9090"+c.path, nil)
			r.RemoteAddr = c.peer
			w := httptest.NewRecorder()
			New(answers()).Handler().ServeHTTP(w, r)
			if w.Code != c.status || w.Body.Len() == 0 {
				t.Errorf("got %d with %d bytes, want %d", w.Code, w.Body.Len(), c.status)
			}
		})
	}
}

func TestAProfileOfTheProcessorsIsMadeOnceAtATime(t *testing.T) {
	url := "http://" + serve(t, answers()) + "/debug/pprof/profile?seconds=1"
	type answer struct {
		status int
		body   string
		err    error
	}
	both := make(chan answer, 2)
	for range 2 {
		go func() {
			resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(httptest.NewRequest(http.MethodGet, url, nil))
			if err != nil {
				both <- answer{err: err}
				return
			}
			defer resp.Body.Close()
			b, err := io.ReadAll(resp.Body)
			both <- answer{resp.StatusCode, string(b), err}
		}()
	}
	refused, made := <-both, <-both // the refusal is at once
	if refused.err != nil || refused.status != http.StatusConflict {
		t.Errorf("the second got %d, %v; want 409", refused.status, refused.err)
	}
	if made.err != nil || made.status != http.StatusOK || !strings.HasPrefix(made.body, "\x1f\x8b") {
		t.Errorf("the first got %d %.20q, %v; want a profile", made.status, made.body, made.err)
	}
}
