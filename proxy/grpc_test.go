// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"meridian/internal/testnet"
	"meridian/proxy/exchange"
	"meridian/topology"
)

// grpcPool makes "web" a pool of that protocol.
func (e *edge) speak(p topology.Protocol) {
	e.set.Put(&topology.Pool{Name: "web", Protocol: p})
	e.apply()
}

// h2Node adds a node that net/http serves by HTTP/2 in clear text.
func (e *edge) h2Node(name string, h http.HandlerFunc) {
	s := httptest.NewUnstartedServer(h)
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Start()
	e.t.Cleanup(s.Close)
	e.node(name, "web", s.Listener.Addr().String())
}

func TestAPoolOfH2CIsSpokenToByHTTP2(t *testing.T) {
	e := newEdge(t)
	e.speak(topology.ProtocolH2C)
	e.h2Node("n1", func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		w.Header().Set("X-Seen", fmt.Sprint(r.Proto, " ", r.Method, " ", r.RequestURI, " ", r.Host, " ", r.Header.Get("X-Forwarded-For"), " ", r.ContentLength, " ", err))
		w.Write(append([]byte("got "), b...))
	})
	for range 3 {
		status, body, header := e.ask("POST", "/a?b", "hello", "Upgrade", "foo", "Connection", "upgrade")
		if status != 200 || body != "got hello" || header.Get("X-Seen") != "HTTP/2.0 POST /a?b "+e.addr+" 127.0.0.1 5 <nil>" {
			t.Errorf("got %d %q %v", status, body, header)
		}
	}
	if st := e.s.h2.Stats(); st.Dialed != 1 || st.Reused != 2 {
		t.Errorf("%+v", st)
	}
	e.wantObserved("n1 success, n1 success, n1 success")
}

func TestTrailersOfGRPCPassThroughTheHTTP1Front(t *testing.T) {
	e := newEdge(t)
	e.speak(topology.ProtocolGRPC)
	e.h2Node("n1", func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "application/grpc")
		w.Write(b)
		w.Header().Set(http.TrailerPrefix+"grpc-status", "0")
		w.Header().Set(http.TrailerPrefix+"grpc-message", r.Header.Get("Te")+" "+r.Trailer.Get("X-Up"))
	})
	c := testnet.Dial(t, e.addr)
	c.Send("POST /s/m HTTP/1.1\r\nHost: a.test\r\nTE: trailers\r\nConnection: close, TE\r\nContent-Type: application/grpc\r\nTrailer: X-Up\r\nTransfer-Encoding: chunked\r\n\r\n" +
		"3\r\nabc\r\n0\r\nX-Up: 7\r\n\r\n")
	got, clean := c.ReadAll()
	if !strings.HasPrefix(got, "HTTP/1.1 200 OK\r\n") || !clean || !strings.Contains(got, "3\r\nabc\r\n0\r\n") ||
		!strings.Contains(strings.ToLower(got), "grpc-status: 0\r\n") || !strings.Contains(got, ": trailers 7\r\n") {
		t.Errorf("got %q", got)
	}
}

func TestTheEdgesOwnErrorsAreGRPCsToItsClients(t *testing.T) {
	e := newEdge(t)
	e.speak(topology.ProtocolGRPC)
	for name, c := range map[string]struct {
		node      func()
		path, tag string
	}{
		"no node":     {func() {}, "/", "14"},
		"unreachable": {func() { e.node("n1", "web", testnet.Unused(t)) }, "/", "14"},
	} {
		t.Run(name, func(t *testing.T) {
			c.node()
			status, body, h := e.ask("POST", c.path, "", "Content-Type", "application/grpc+proto")
			if status != 200 || body != "" || h.Get("Grpc-Status") != c.tag || h.Get("Grpc-Message") == "" || h.Get("Content-Type") != "application/grpc" {
				t.Errorf("got %d %q %v", status, body, h)
			}
		})
	}
	if status, _, _ := e.ask("POST", "/", "", "Content-Type", "application/grpcx"); status != 503 {
		t.Errorf("another content type: %d", status)
	}
}

func TestAGRPCTimeoutEndsTheRequest(t *testing.T) {
	e := newEdge(t)
	e.speak(topology.ProtocolGRPC)
	canceled := make(chan struct{})
	e.h2Node("n1", func(w http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
		close(canceled)
	})
	began := time.Now()
	status, _, h := e.ask("POST", "/", "", "Content-Type", "application/grpc", "grpc-timeout", "30m")
	if status != 200 || h.Get("Grpc-Status") != "4" || time.Since(began) < 30*time.Millisecond {
		t.Errorf("got %d %v after %s", status, h, time.Since(began))
	}
	<-canceled
	if got := e.observed(); got != "" {
		t.Errorf("the node was blamed: %s", got)
	}
}

func TestGRPCTimeoutsAreReadAsTheirSpecificationHasThem(t *testing.T) {
	for s, want := range map[string]time.Duration{
		"1S": time.Second, "100m": 100 * time.Millisecond, "5u": 5 * time.Microsecond, "7n": 7, "2M": 2 * time.Minute, "3H": 3 * time.Hour,
		"99999999H": maxTimeout, "": -1, "S": -1, "1": -1, "1s": -1, "123456789S": -1, "-1S": -1, "+1S": -1, "1.5S": -1, " 1S": -1,
	} {
		got, ok := parseTimeout(s)
		if !ok {
			got = -1
		}
		if got != want {
			t.Errorf("%q: got %s, want %s", s, got, want)
		}
	}
}

func FuzzGRPCTimeout(f *testing.F) {
	f.Add("10S")
	f.Fuzz(func(t *testing.T, s string) {
		if d, ok := parseTimeout(s); d < 0 || d > maxTimeout || !ok && d != 0 {
			t.Errorf("%q: %s", s, d)
		}
	})
}

func TestMessagesAreEncodedForTheirField(t *testing.T) {
	if got, want := percentEncode("a b%c\r\né~"), "a b%25c%0D%0A%C3%A9~"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestARefusedRequestGoesToAnotherNode: even a POST, since the first node has not acted on it.
func TestARefusedRequestGoesToAnotherNode(t *testing.T) {
	e := newEdge(t)
	e.speak(topology.ProtocolH2C)
	e.rawNode("n1", "web", refuseAll)
	e.h2Node("n2", func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) })
	for range 8 {
		if status, body, _ := e.ask("POST", "/", "x"); status != 200 || body != "x" {
			t.Fatalf("got %d %q", status, body)
		}
	}
	if got := e.observed(); strings.Contains(got, "n1") {
		t.Errorf("the node was blamed: %s", got)
	}
}

// fake is a client's side of an exchange as an engine of HTTP/2 would have it: a body that comes in pieces, and trailers.
type fake struct {
	up      chan string
	trailer exchange.Header
	stopped chan struct{}
	stop    sync.Once

	down    chan string // the head, each piece, the trailer
	started bool
	aborted bool
}

func (f *fake) Read(p []byte) (int, error) {
	select {
	case s, ok := <-f.up:
		if !ok {
			return 0, io.EOF
		}
		return copy(p, s), nil
	case <-f.stopped:
		return 0, io.ErrClosedPipe
	}
}
func (f *fake) ReadArrived([]byte) (int, error)  { return 0, nil }
func (f *fake) Continue() error                  { return nil }
func (f *fake) Stop()                            { f.stop.Do(func() { close(f.stopped) }) }
func (f *fake) Trailer() exchange.Header         { return f.trailer }
func (f *fake) WriteHead(h *exchange.Head) error { f.down <- fmt.Sprint(h.Status); return nil }
func (f *fake) Write(p []byte) (int, error)      { f.down <- string(p); return len(p), nil }
func (f *fake) Flush() error                     { f.started = true; return nil }
func (f *fake) Started() bool                    { return f.started }
func (f *fake) Abort()                           { f.aborted = true }
func (f *fake) Interrupt()                       {}
func (f *fake) SetIdle(time.Duration)            {}
func (f *fake) Watch(exchange.Canceler)          {}
func (f *fake) Unwatch()                         {}
func (f *fake) End(trailer exchange.Header) error {
	f.down <- "end " + trailer.Get("grpc-status") + " " + trailer.Get("x-seen")
	return nil
}

// TestMessagesAndTrailersFlowBothWaysAtOnce: each message of the client's is answered before the next one is sent.
func TestMessagesAndTrailersFlowBothWaysAtOnce(t *testing.T) {
	e := newEdge(t)
	e.speak(topology.ProtocolGRPC)
	e.h2Node("n1", func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(200)
		w.(http.Flusher).Flush()
		var b [16]byte
		for {
			n, err := r.Body.Read(b[:])
			if n > 0 {
				w.Write(b[:n])
				w.(http.Flusher).Flush()
			}
			if err != nil {
				break
			}
		}
		w.Header().Set(http.TrailerPrefix+"Grpc-Status", "0")
		w.Header().Set(http.TrailerPrefix+"X-Seen", r.Trailer.Get("X-Up"))
	})
	f := &fake{up: make(chan string), down: make(chan string, 1), stopped: make(chan struct{}), trailer: exchange.Header{{Name: "X-Up", Value: "7"}}}
	x := &exchange.Exchange{
		Request: exchange.Request{
			Method: "POST", Scheme: "http", Host: "a.test", Target: "/s/m", Path: "/s/m", Length: exchange.LengthUnknown,
			Header: exchange.Header{{Name: "te", Value: "trailers"}, {Name: "content-type", Value: "application/grpc"}, {Name: "trailer", Value: "X-Up"}},
		},
		Body: f, Reply: f, Client: netip.MustParseAddrPort("127.0.0.1:1"), ClientIP: "127.0.0.1", Received: time.Now(),
	}
	done := make(chan struct{})
	go func() { defer close(done); e.s.handle(x) }()
	if got := <-f.down; got != "200" {
		t.Errorf("the head is %q", got)
	}
	for i := range 5 {
		sent := fmt.Sprintf("message %d", i)
		f.up <- sent
		if got := <-f.down; got != sent {
			t.Errorf("got %q, want %q", got, sent)
		}
	}
	close(f.up)
	if got := <-f.down; got != "end 0 7" {
		t.Errorf("got %q", got)
	}
	<-done
	if f.aborted {
		t.Error("it was aborted")
	}
}

// TestARequestThatCrossesAGoAwayGoesToANewConnection: a node that restarts its connections loses no request, though it is
// the only one.
func TestARequestThatCrossesAGoAwayGoesToANewConnection(t *testing.T) {
	e := newEdge(t)
	e.speak(topology.ProtocolH2C)
	n := e.rawNode("n1", "web", oneEach)
	for i := range 4 {
		if status, body, _ := e.ask("POST", "/", "x"); status != 200 || body != "ok" {
			t.Fatalf("request %d: got %d %q", i, status, body)
		}
	}
	if n.Accepted() < 2 {
		t.Errorf("%d connections", n.Accepted())
	}
	e.wantObserved("n1 success, n1 success, n1 success, n1 success")
}
