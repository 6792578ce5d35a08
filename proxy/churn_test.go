// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"meridian/internal/testnet"
)

// shaky is a node that repeats what it is asked, in pieces, and now and then closes a connection with or behind an answer that
// promised to keep it, so that the end comes at any time of the connection's rest.
func shaky(c *testnet.Conn) {
	in := bufio.NewReader(c.Conn)
	for {
		req, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return
		}
		said := fmt.Sprintf("%s %s %s", req.Method, req.URL.Path, body)
		out := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(said), said)
		if cut := rand.IntN(len(out)); rand.IntN(3) == 0 {
			c.Send(out[:cut])
			out = out[cut:]
		}
		if c.Send(out) != nil {
			return
		}
		switch rand.IntN(40) {
		case 0:
			return
		case 1:
			c.CloseWrite()
			in.Peek(1)
			return
		}
	}
}

// TestEveryClientGetsItsOwnAnswerWhateverNodesAndClientsDo has clients ask singly, ahead and with pauses around those after
// which a connection is parked, and end in every way. An answer may be an error where the node broke the promise, but never another one's.
func TestEveryClientGetsItsOwnAnswerWhateverNodesAndClientsDo(t *testing.T) {
	e := newEdge(t)
	e.rawNode("n1", "web", shaky)
	e.rawNode("n2", "web", shaky)
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			for life := range 12 {
				if t.Failed() {
					return
				}
				churn(t, e.addr, fmt.Sprintf("%d-%d", i, life))
			}
		})
	}
	wg.Wait()
}

// churn is one connection of a client.
func churn(t *testing.T, addr, name string) {
	c := testnet.Dial(t, addr)
	defer c.Close()
	in := bufio.NewReader(c.Conn)
	for k := range 1 + rand.IntN(12) {
		ahead := 1 + rand.IntN(3)*rand.IntN(2)
		var asked []string
		for j := range ahead {
			method, body := "GET", ""
			if rand.IntN(3) == 0 {
				method, body = "PUT", strings.Repeat("b", rand.IntN(20000))
			}
			path := fmt.Sprintf("/%s/%d/%d", name, k, j)
			c.Send(fmt.Sprintf("%s %s HTTP/1.1\r\nHost: a.test\r\nContent-Length: %d\r\n\r\n%s", method, path, len(body), body))
			asked = append(asked, method+" "+path+" "+body)
		}
		last := rand.IntN(10) == 0
		if last {
			c.CloseWrite()
		}
		for _, want := range asked {
			resp, err := http.ReadResponse(in, nil)
			if last && err != nil {
				return // where answers take long, a client that has closed its side is taken to be gone
			}
			if err != nil {
				t.Errorf("%.40s: %v", want, err)
				return
			}
			got, err := io.ReadAll(resp.Body)
			if last && err != nil && strings.HasPrefix(want, string(got)) {
				return
			}
			if err != nil || resp.StatusCode == 200 && string(got) != want {
				t.Errorf("got %.40q, %v; want %.40q", got, err, want)
				return
			}
			if resp.Close {
				return
			}
		}
		if last || rand.IntN(30) == 0 {
			return
		}
		if rand.IntN(4) == 0 {
			<-time.After(time.Duration(rand.IntN(220)) * time.Millisecond)
		}
	}
}
