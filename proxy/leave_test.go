// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"meridian/internal/h3raw"
	"meridian/internal/testnet"
)

// leavers are the ways in which clients are told that their connection ends. Each opens one on the TLS listener, with a
// request under way that finish answers, and returns what waits for the telling and for the end of the answer.
var leavers = map[string]func(t *testing.T, e *edge) (told func(), ended func()){
	"HTTP/1.1": func(t *testing.T, e *edge) (func(), func()) {
		idle, c := dialALPN(t, e, "http/1.1"), dialALPN(t, e, "http/1.1")
		io.WriteString(c, "GET /slow HTTP/1.1\r\nHost: a.test\r\n\r\n")
		told := func() { // its end is all that shows before the answer
			if got, err := io.ReadAll(idle); err != nil || len(got) > 0 {
				t.Errorf("the idle connection ended with %q, %v", got, err)
			}
		}
		return told, func() {
			if got, err := io.ReadAll(c); err != nil || !strings.Contains(string(got), "Connection: close\r\n") || !strings.HasSuffix(string(got), "done") {
				t.Errorf("got %q, %v", got, err)
			}
		}
	},
	"HTTP/2": func(t *testing.T, e *edge) (func(), func()) {
		c := dialALPN(t, e, "h2")
		io.WriteString(c, http2.ClientPreface)
		fr := http2.NewFramer(c, c)
		fr.WriteSettings()
		var block strings.Builder
		enc := hpack.NewEncoder(&block)
		for _, f := range []string{":method GET", ":scheme https", ":authority a.test", ":path /slow"} {
			name, value, _ := strings.Cut(f, " ")
			enc.WriteField(hpack.HeaderField{Name: name, Value: value})
		}
		fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte(block.String()), EndStream: true, EndHeaders: true})
		told := func() {
			for {
				f, err := fr.ReadFrame()
				if err != nil {
					t.Fatalf("before GOAWAY: %v", err)
				}
				if g, ok := f.(*http2.GoAwayFrame); ok {
					if g.ErrCode != http2.ErrCodeNo {
						t.Errorf("GOAWAY with %v", g.ErrCode)
					}
					return
				}
			}
		}
		return told, func() {
			body, whole := "", false
			for {
				f, err := fr.ReadFrame()
				if err != nil {
					break
				}
				if d, ok := f.(*http2.DataFrame); ok {
					body, whole = body+string(d.Data()), whole || d.StreamEnded()
				}
			}
			if body != "done" || !whole {
				t.Errorf("got %q, whole: %v", body, whole)
			}
		}
	},
	"HTTP/3": func(t *testing.T, e *edge) (func(), func()) {
		c := h3raw.Dial(t, e.secureAddr(), "a.test")
		answer := make(chan string, 1)
		go func() {
			got, err := c.Get("/slow")
			answer <- fmt.Sprint(got, err)
		}()
		return func() { <-c.GoneAway }, func() {
			if got := <-answer; !strings.HasSuffix(got, "done<nil>") {
				t.Errorf("got %q", got)
			}
			<-c.Conn.Context().Done()
		}
	},
	"WebSocket": func(t *testing.T, e *edge) (func(), func()) {
		d := websocket.Dialer{HandshakeTimeout: testnet.Patience, TLSClientConfig: &tls.Config{ServerName: "a.test", InsecureSkipVerify: true}}
		c, _, err := d.Dial("wss://"+e.secureAddr()+"/ws", http.Header{"Host": {"a.test"}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		c.SetReadDeadline(time.Now().Add(testnet.Patience))
		return func() {
			if _, _, err := c.ReadMessage(); !websocket.IsCloseError(err, websocket.CloseGoingAway) {
				t.Errorf("the end came as %v", err)
			}
		}, func() {}
	},
}

func dialALPN(t *testing.T, e *edge, protocol string) net.Conn {
	t.Helper()
	c := tls.Client(testnet.Dial(t, e.secureAddr()).Conn, &tls.Config{ServerName: "a.test", InsecureSkipVerify: true, NextProtos: []string{protocol}})
	if err := c.Handshake(); err != nil || c.ConnectionState().NegotiatedProtocol != protocol {
		t.Fatalf("the handshake: %v, %q", err, c.ConnectionState().NegotiatedProtocol)
	}
	return c
}

// leavingEdge has a node whose /slow is answered once finish is closed, and whose /ws is a WebSocket.
func leavingEdge(t *testing.T) (e *edge, started, finish chan struct{}) {
	e = newEdge(t, withTLS(t, "a.test"), withHTTP3)
	started, finish = make(chan struct{}, 1), make(chan struct{})
	up := websocket.Upgrader{}
	e.httpNode("n1", "web", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			started <- struct{}{}
			<-finish
			io.WriteString(w, "done")
			return
		}
		c, err := up.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer c.Close()
		started <- struct{}{}
		c.ReadMessage()
	})
	return e, started, finish
}

// TestTheClientsOfAListenerThatGoesAreTold is a reload that takes the listener with TLS away: requests under way are answered.
func TestTheClientsOfAListenerThatGoesAreTold(t *testing.T) {
	t.Parallel()
	for name, open := range leavers {
		t.Run(name, func(t *testing.T) {
			e, started, finish := leavingEdge(t)
			told, ended := open(t, e)
			<-started
			stays := testnet.Dial(t, e.addr)
			stays.Send(strings.Replace(askWebSocket, "/ws", "/stays", 1))
			if got := stays.ReadUntil("\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 101 ") {
				t.Fatalf("got %q", got)
			}
			<-started
			if err := e.change(func(c *Config) { c.ListenTLS = nil }); err != nil {
				t.Fatal(err)
			}
			told()
			close(finish)
			ended()
			stays.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
			if n, err := stays.Read(make([]byte, 1)); n > 0 || err == io.EOF {
				t.Errorf("the tunnel of the listener that stays got %d bytes, %v", n, err)
			}
		})
	}
}

// TestAtTheStopClientsAreTold is the same for all listeners.
func TestAtTheStopClientsAreTold(t *testing.T) {
	t.Parallel()
	for name, open := range leavers {
		t.Run(name, func(t *testing.T) {
			e, started, finish := leavingEdge(t)
			told, ended := open(t, e)
			<-started
			stopped := make(chan error, 1)
			go func() { stopped <- e.stop() }()
			told()
			testnet.Wait(t, "the stop", e.s.stopping.Load)
			close(finish)
			ended()
			<-stopped
			if got := e.s.metrics.shutdownCut.Get(); got != 0 {
				t.Errorf("%d were cut", got)
			}
		})
	}
}

// TestAtTheDrainOfTheEdgeClientsAreTold: those of HTTP/2 and 3 at once, those of HTTP/1.1 with their answer, and who has no request under
// way or a WebSocket when the rest is cut. Whoever comes is served.
func TestAtTheDrainOfTheEdgeClientsAreTold(t *testing.T) {
	for name, open := range leavers {
		t.Run(name, func(t *testing.T) {
			e, started, finish := leavingEdge(t)
			told, ended := open(t, e)
			<-started
			e.s.Leave(true)
			early, left := name == "HTTP/2" || name == "HTTP/3", 0
			if early {
				told()
			}
			close(finish)
			ended()
			if name == "WebSocket" {
				left = 1
			}
			if n := e.s.CutAll(); n != left {
				t.Errorf("cut %d, want %d", n, left)
			}
			if !early {
				told()
			}
			late := testnet.Dial(t, e.addr)
			late.Send("GET /slow HTTP/1.1\r\nHost: a.test\r\n\r\n")
			if head := late.ReadUntil("done"); !strings.HasPrefix(head, "HTTP/1.1 200 ") || !strings.Contains(head, "Connection: close\r\n") {
				t.Errorf("a client that came later got %q", head)
			}
		})
	}
}

// TestAWebSocketIsToldThatItIsCutAsSoonAsItIsOpen is a cut between the 101 and the tunnel's first byte.
func TestAWebSocketIsToldThatItIsCutAsSoonAsItIsOpen(t *testing.T) {
	e, started, _ := leavingEdge(t)
	for range 100 {
		c := testnet.Dial(t, e.addr)
		c.Send(askWebSocket)
		if head := c.ReadUntil("\r\n\r\n"); !strings.HasPrefix(head, "HTTP/1.1 101 ") {
			t.Fatalf("got %q", head)
		}
		e.s.CutAll()
		if got, err := io.ReadAll(io.LimitReader(c, 4)); string(got) != "\x88\x02\x03\xe9" {
			t.Fatalf("the end came as %q, %v", got, err)
		}
		c.Close()
		<-started
	}
}

// TestWhatDoesNotEndIsCutAtTheDrainsDeadline holds for streams of every protocol on a listener that goes.
func TestWhatDoesNotEndIsCutAtTheDrainsDeadline(t *testing.T) {
	for _, engine := range allEngines {
		if !engine.tls {
			continue
		}
		t.Run(engine.name, func(t *testing.T) {
			e := newEdge(t, withTLS(t, "a.test"), withHTTP3)
			eventNode(e, nil)
			c, root := engine.client(t, e)
			resp, err := c.Get(root + "/events")
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if err := e.change(func(c *Config) { c.ListenTLS, c.Deadline = nil, 20*time.Millisecond }); err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(resp.Body); err == nil {
				t.Errorf("the stream that was cut looks whole: %q", got)
			}
		})
	}
}
