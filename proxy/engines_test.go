// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"meridian/internal/testnet"
	"meridian/topology"
)

// engines are the ways in which a client can speak with the edge.
var engines = []struct {
	name       string
	tls, http2 bool
}{{"HTTP/1.1", false, false}, {"HTTP/1.1 over TLS", true, false}, {"h2c", false, true}, {"HTTP/2", true, true}}

// engineClient returns a client of that kind, the URL of the edge's root for it, and what counts its connections.
func engineClient(t testing.TB, e *edge, secure, http2 bool) (c *http.Client, root string, dials func() int) {
	var mu sync.Mutex
	n := 0
	p := new(http.Protocols)
	p.SetHTTP1(!http2)
	p.SetHTTP2(http2 && secure)
	p.SetUnencryptedHTTP2(http2 && !secure)
	tr := &http.Transport{
		Protocols: p, DisableCompression: true, TLSClientConfig: &tls.Config{ServerName: "a.test", InsecureSkipVerify: true},
		DialContext: func(_ context.Context, network, _ string) (net.Conn, error) {
			mu.Lock()
			n++
			mu.Unlock()
			if secure {
				return net.Dial(network, e.secureAddr())
			}
			return net.Dial(network, e.addr)
		},
	}
	t.Cleanup(tr.CloseIdleConnections)
	root = "http://a.test"
	if secure {
		root = "https://a.test"
	}
	return &http.Client{Transport: tr, Timeout: testnet.Patience}, root, func() int { mu.Lock(); defer mu.Unlock(); return n }
}

func TestOnePolicyHoldsForEveryProtocol(t *testing.T) {
	e := newEdge(t, withTLS(t, "a.test"), func(c *Config) { c.MaxRequests, c.Managed = 50, []string{"X-Auth-User"} })
	e.set.Put(&topology.Route{Name: "slash", Pool: "web", PathPrefix: "/slash", AllowEncodedSlash: true})
	e.set.Put(&topology.Route{Name: "small", Pool: "web", PathPrefix: "/small", MaxBodyBytes: 10})
	e.set.Put(&topology.Route{Name: "short", Pool: "web", PathPrefix: "/short", Timeouts: topology.Timeouts{Request: topology.Duration(50 * time.Millisecond)}})
	e.apply()
	e.httpNode("n1", "web", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/short" {
			<-r.Context().Done()
			return
		}
		io.Copy(io.Discard, r.Body)
		fmt.Fprintf(w, "%s via=%s for=%s user=%s", r.URL.EscapedPath(), r.Header.Get("Via"), r.Header.Get("X-Forwarded-For"), r.Header.Get("X_auth.user")+r.Header.Get("X-Auth-User"))
	})
	for _, engine := range engines {
		t.Run(engine.name, func(t *testing.T) {
			c, root, dials := engineClient(t, e, engine.tls, engine.http2)
			version := "1.1"
			if engine.http2 {
				version = "2.0"
			}
			for _, q := range []struct {
				path, body string
				streamed   bool // its length is not told
				header     string
				status     int
				want       string
			}{
				{path: "/x", status: 200, want: "/x via=" + version + " meridian for=127.0.0.1 user="},
				{path: "/x", header: "X-Forwarded-For: 192.0.2.1", status: 200, want: " for=127.0.0.1 "},
				{path: "/x", header: "x_auth_user: root", status: 200, want: "user="},
				{path: "/x", header: "Via: 1.1 meridian", status: 508},
				{path: "/a%2Fb", status: 400, want: "encoded slash"},
				{path: "/slash/a%2Fb", status: 200, want: "/slash/a%2Fb "},
				{path: "/slash/..%2Fb", status: 400},
				{path: "/small", body: "0123456789", status: 200},
				{path: "/small", body: "0123456789", streamed: true, status: 200},
				{path: "/small", body: "0123456789a", status: 413},
				{path: "/small", body: "0123456789a", streamed: true, status: 413},
				{path: "/short", status: 504},
			} {
				var body io.Reader
				if q.body != "" {
					body = strings.NewReader(q.body)
				}
				if q.streamed {
					body = io.MultiReader(body)
				}
				req, err := http.NewRequest("POST", root+q.path, body)
				if err != nil {
					t.Fatal(err)
				}
				if name, value, ok := strings.Cut(q.header, ": "); ok {
					req.Header[name] = []string{value}
				}
				resp, err := c.Do(req)
				if err != nil {
					t.Errorf("%s %s: %v", q.path, q.header, err)
					continue
				}
				b, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if err != nil || resp.StatusCode != q.status || !strings.Contains(string(b), q.want) || q.want == "user=" && !strings.HasSuffix(string(b), q.want) {
					t.Errorf("%s %s: got %d %q, %v; want %d %q", q.path, q.header, resp.StatusCode, b, err, q.status, q.want)
				}
			}
			before := dials()
			for range 60 {
				resp, err := c.Get(root + "/x")
				if err != nil {
					t.Fatal(err)
				}
				io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			}
			if n := dials() - before; n < 1 || n > 2 {
				t.Errorf("60 requests, of which a connection takes 50, made %d further connections", n)
			}
		})
	}
}

func TestAWebSocketOverTLS(t *testing.T) {
	e := newEdge(t, withTLS(t, "a.test"))
	e.webSocketNode("n1")
	d := websocket.Dialer{HandshakeTimeout: testnet.Patience, TLSClientConfig: &tls.Config{ServerName: "a.test", InsecureSkipVerify: true}}
	c, resp, err := d.Dial("wss://"+e.secureAddr()+"/ws", http.Header{"Host": {"a.test"}})
	if err != nil {
		t.Fatalf("%v, %v", err, resp)
	}
	defer c.Close()
	c.SetReadDeadline(time.Now().Add(testnet.Patience))
	for _, n := range []int{1, 70000} {
		c.WriteMessage(websocket.TextMessage, []byte(strings.Repeat("x", n)))
		if _, got, err := c.ReadMessage(); err != nil || len(got) != n {
			t.Fatalf("%d bytes came back, %v", len(got), err)
		}
	}
	go e.stop()
	if _, _, err := c.ReadMessage(); !websocket.IsCloseError(err, websocket.CloseGoingAway) {
		t.Errorf("the edge's end came as %v", err)
	}
}

// TestListenersWithTLSComeAndGo also holds that HTTP/2 connections of a listener that goes are ended, and only those.
func TestListenersWithTLSComeAndGo(t *testing.T) {
	e := newEdge(t, withTLS(t, "a.test"))
	e.httpNode("n1", "web", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Proto) })
	ask := func(c *http.Client, root string) {
		t.Helper()
		resp, err := c.Get(root)
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
	clear2, clearRoot, clearDials := engineClient(t, e, false, true)
	ask(clear2, clearRoot)
	for _, http2 := range []bool{false, true} {
		c, root, dials := engineClient(t, e, true, http2)
		ask(c, root)
		old := e.secureAddr()
		if err := e.change(func(c *Config) { c.ListenTLS = []string{testnet.Unused(t)} }); err != nil {
			t.Fatal(err)
		}
		testnet.Wait(t, "the connections of the listener to end", func() bool { return e.s.engine.Stats().Open == 1 })
		if _, err := net.DialTimeout("tcp", old, time.Second); err == nil {
			t.Error("the listener that went still takes connections")
		}
		ask(c, root)
		if n := dials(); n != 2 {
			t.Errorf("%d connections were made, want one to each listener", n)
		}
	}
	ask(clear2, clearRoot)
	if n := clearDials(); n != 1 {
		t.Errorf("the listener that stayed got %d connections", n)
	}
	if err := e.change(func(c *Config) { c.ListenTLS = nil }); err != nil {
		t.Fatal(err)
	}
	if n := len(e.s.Addrs()); n != 1 {
		t.Errorf("%d listeners are left", n)
	}
}
