// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"fmt"
	"io"
	"net/http"
	"testing"

	"meridian/topology"
)

// What HTTP/1.1 reads is valid until its exchange ends, and an HPACK encoder keeps what it is given for longer: each message
// must arrive with its own fields, whatever came before it on the connection.

var uniqueNames = []string{"X-N1", "X-N2", "X-N3", "Etag", "X-Low"}

// unique returns the fields of message n, of the same lengths each time.
func unique(n int) http.Header {
	h := http.Header{}
	for i, name := range uniqueNames {
		h.Set(name, fmt.Sprintf("%08d-%d", n, i))
	}
	return h
}

func differs(got http.Header, n int) string {
	for name, want := range unique(n) {
		if v := got.Get(name); v != want[0] {
			return fmt.Sprintf("%s: %q; want %q", name, v, want[0])
		}
	}
	return ""
}

func TestFieldsOfOneRequestDoNotReachAnotherAtAnHTTP2Node(t *testing.T) {
	e := newEdge(t)
	e.speak(topology.ProtocolH2C)
	e.h2Node("n1", func(w http.ResponseWriter, r *http.Request) {
		var n int
		fmt.Sscanf(r.URL.Path, "/%d", &n)
		io.WriteString(w, differs(r.Header, n))
	})
	c := client(t)
	for n := range 300 {
		req, err := http.NewRequest("GET", fmt.Sprintf("http://%s/%d", e.addr, n), nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header = unique(n)
		resp, err := c.Do(req)
		if err != nil {
			t.Fatalf("request %d: %v", n, err)
		}
		b, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != 200 || len(b) > 0 {
			t.Fatalf("request %d: %d, the node saw %s", n, resp.StatusCode, b)
		}
	}
}

func TestFieldsOfOneAnswerDoNotReachAnotherAtAnHTTP2Client(t *testing.T) {
	e := newEdge(t)
	e.httpNode("n1", "web", func(w http.ResponseWriter, r *http.Request) {
		var n int
		fmt.Sscanf(r.URL.Path, "/%d", &n)
		for name, v := range unique(n) {
			w.Header()[name] = v
		}
	})
	c := h2c(t)
	for n := range 300 {
		resp, err := c.Get(fmt.Sprintf("http://%s/%d", e.addr, n))
		if err != nil {
			t.Fatalf("request %d: %v", n, err)
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if d := differs(resp.Header, n); resp.StatusCode != 200 || d != "" {
			t.Fatalf("answer %d: %d, %s", n, resp.StatusCode, d)
		}
	}
}
