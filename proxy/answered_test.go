// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"meridian/internal/testnet"
	"meridian/topology"
)

// TestANodeThatAnswersIsToldOf has a node answer and fail: only answers say that it lives, with a time before which it was not asked.
func TestANodeThatAnswersIsToldOf(t *testing.T) {
	var mu sync.Mutex
	var begans []time.Time
	told := func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(begans)
	}
	e := newEdge(t, func(c *Config) {
		c.Answered = func(n topology.NodeID, began time.Time) {
			mu.Lock()
			defer mu.Unlock()
			if n != "a" {
				t.Errorf("told of %s", n)
			}
			begans = append(begans, began)
		}
	})
	node := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/failing" {
			w.WriteHeader(503)
		}
		if r.URL.Path == "/missing" {
			w.WriteHeader(404)
		}
	}))
	defer node.Close()
	e.node("a", "web", node.Listener.Addr().String())
	for i, path := range []string{"/failing", "/", "/missing"} {
		before := time.Now()
		resp, err := http.Post("http://"+e.addr+path, "text/plain", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		testnet.Wait(t, path, func() bool { return told() == i })
		if i > 0 && (begans[i-1].Before(before.Truncate(0)) || begans[i-1].After(time.Now())) {
			t.Errorf("%s: it began at %s, and was sent at %s", path, begans[i-1], before)
		}
	}
}
