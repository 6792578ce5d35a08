// SPDX-License-Identifier: Apache-2.0

package loadgen

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/quic-go/quic-go/http3"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const get = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"

// exercise has lanes make an open and a closed loop, and reports the connections that the server took for it.
func exercise(t *testing.T, n int, open func(i int) (Lane, error)) {
	t.Helper()
	lanes, err := OpenLanes(t.Context(), n, open)
	if err != nil {
		t.Fatal(err)
	}
	defer lanes.Close()
	if r := lanes.AtRate(t.Context(), 500, 40*time.Millisecond); r.Sent != 20 || r.Failed > 0 || r.Quantile(0.5) <= 0 {
		t.Errorf("at a rate: %s; want 20 requests", r)
	}
	if r := lanes.Full(t.Context(), 20*time.Millisecond); r.Sent < n || r.Failed > 0 {
		t.Errorf("at full speed: %s; want at least one request on each of %d lanes", r, n)
	}
}

// server starts one that greets, and counts its connections.
func server(t *testing.T, protocol string) (*httptest.Server, *atomic.Int64) {
	connections := new(atomic.Int64)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Host != "a.test" || r.Proto != protocol {
			t.Errorf("got %s of %s, want %s", r.Proto, r.Host, protocol)
		}
		io.WriteString(w, strings.Repeat("x", 10_000))
	}))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetHTTP1(true)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.EnableHTTP2 = true
	t.Cleanup(s.Close)
	return s, connections
}

func addr(s *httptest.Server) string { return s.Listener.Addr().String() }

var trusting = &tls.Config{InsecureSkipVerify: true, ServerName: "a.test"}

func TestHTTP1KeepsItsConnections(t *testing.T) {
	s, connections := server(t, "HTTP/1.1")
	s.Start()
	exercise(t, 5, func(int) (Lane, error) { return &HTTP1{Addr: addr(s), Request: []byte(get)}, nil })
	if n := connections.Load(); n != 5 {
		t.Errorf("%d connections, want 5", n)
	}
}

func TestHTTP1OnceShakesHandsForEachRequest(t *testing.T) {
	s, connections := server(t, "HTTP/1.1")
	s.StartTLS()
	request := strings.Replace(get, "\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1)
	h := &HTTP1{Addr: addr(s), TLS: trusting, Request: []byte(request), Once: true, From: net.IPv4(127, 0, 0, 9)}
	for range 3 {
		if err := h.Exchange(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n := connections.Load(); n != 3 {
		t.Errorf("%d connections, want 3", n)
	}
}

func TestAnswersOtherThanTheNodesFail(t *testing.T) {
	s := httptest.NewServer(http.NotFoundHandler())
	defer s.Close()
	_, err := OpenLanes(t.Context(), 3, func(int) (Lane, error) { return &HTTP1{Addr: addr(s), Request: []byte(get)}, nil })
	if err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("got %v", err)
	}
	short, _ := server(t, "HTTP/1.1")
	short.Start()
	h := &HTTP1{Addr: addr(short), Request: []byte(get), Size: 10_001}
	if err := h.Exchange(t.Context()); err == nil || !strings.Contains(err.Error(), "10000 bytes") {
		t.Errorf("a short answer: %v", err)
	}
}

func TestHTTP2SharesOneConnection(t *testing.T) {
	for name, secure := range map[string]*tls.Config{"clear": nil, "TLS": trusting} {
		t.Run(name, func(t *testing.T) {
			s, connections := server(t, "HTTP/2.0")
			if secure == nil {
				s.Start()
			} else {
				s.StartTLS()
			}
			tr := HTTP2(secure, nil)
			first := &Multiplexed{tr, s.URL, "a.test", 10_000}
			if err := first.Exchange(t.Context()); err != nil {
				t.Fatal(err)
			}
			exercise(t, 4, func(int) (Lane, error) { return &Multiplexed{tr, s.URL, "a.test", 10_000}, nil })
			if n := connections.Load(); n != 1 {
				t.Errorf("%d connections, want 1", n)
			}
		})
	}
}

func TestHTTP3(t *testing.T) {
	certified := httptest.NewTLSServer(nil) // for its certificate
	defer certified.Close()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http3.Server{TLSConfig: http3.ConfigureTLSConfig(certified.TLS), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.Host)
	})}
	served := make(chan error, 1)
	go func() { served <- s.Serve(conn) }()
	defer func() { s.Close(); conn.Close(); <-served }()
	tr := HTTP3(trusting, nil)
	exercise(t, 3, func(int) (Lane, error) {
		return &Multiplexed{tr, "https://" + conn.LocalAddr().String(), "a.test", 6}, nil
	})
}

func TestWebSocketsMessagesComeBack(t *testing.T) {
	upgrader := websocket.Upgrader{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		for {
			kind, message, err := c.ReadMessage()
			if err != nil {
				return
			}
			if string(message) == "wrong" {
				message[0] = 'W'
			}
			c.WriteMessage(kind, message)
		}
	}))
	defer s.Close()
	exercise(t, 3, func(int) (Lane, error) {
		return OpenWebSocket(t.Context(), addr(s), "a.test", "/ws", []byte("some message"))
	})
	w, err := OpenWebSocket(t.Context(), addr(s), "a.test", "/", []byte("wrong"))
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if err := w.Exchange(t.Context()); err == nil {
		t.Error("another message counts as the echo")
	}
}

func TestEventsAreAwaited(t *testing.T) {
	publish := make(chan string)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		for {
			select {
			case <-r.Context().Done():
				return
			case event := <-publish:
				io.WriteString(w, event)
				w.(http.Flusher).Flush()
			}
		}
	}))
	defer s.Close()
	open := func(events ...string) (Lane, error) {
		return OpenEventStream(t.Context(), addr(s), "a.test", "/", func() error {
			for _, e := range events {
				publish <- e
			}
			return nil
		})
	}
	exercise(t, 1, func(int) (Lane, error) { return open(": a comment\n\n", "data: x\n\n") })
	refused := errors.New("no such stream")
	e, err := OpenEventStream(t.Context(), addr(s), "a.test", "/", func() error { return refused })
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if err := e.Exchange(context.Background()); err != refused {
		t.Errorf("got %v", err)
	}
}
