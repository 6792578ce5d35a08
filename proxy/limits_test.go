// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"golang.org/x/net/http2"

	"meridian/internal/h3raw"
	"meridian/internal/probes"
	"meridian/internal/testnet"
	"meridian/topology"
)

// short is a deadline under test, in force where a default of 10 s or more would let the test fail.
const short = 100 * time.Millisecond

// limitCase is a limit or a deadline, and what shows that it is in force for clients of an engine.
type limitCase struct {
	name   string
	change func(*Config)
	route  topology.Route
	only   func(engine) bool // nil: all
	check  func(t *testing.T, e *edge, g engine)
}

var limitCases = []limitCase{
	{name: "deadline of the handshake", change: func(c *Config) { c.HandshakeTimeout = short }, only: func(g engine) bool { return g.tls }, check: handshakeIsBounded},
	{name: "deadline of the head", change: func(c *Config) { c.HeadTimeout = short }, check: halfAHeadEnds},
	{name: "rate of the body", change: func(c *Config) { c.MinBodyRate, c.BodyWindow = 1000, 2*short }, check: aSlowBodyIsRefused},
	{name: "deadline of a write", change: func(c *Config) { c.WriteTimeout = short }, check: aClientThatTakesNothingIsCut},
	{name: "deadline of an idle connection", change: func(c *Config) { c.IdleTimeout = 5 * short }, check: anIdleConnectionEnds},
	{name: "deadline of the first byte", route: topology.Route{Timeouts: topology.Timeouts{FirstByte: topology.Duration(short)}}, check: statusOf("/never", "", 504)},
	{name: "deadline of the request", route: topology.Route{Timeouts: topology.Timeouts{Request: topology.Duration(short)}}, check: statusOf("/never", "", 504)},
	{name: "bytes of the head", change: func(c *Config) { c.Limits.HeadBytes = 2048 }, check: aLargeHeadIsRefused},
	{name: "fields of the head", change: func(c *Config) { c.Limits.Fields = 30 }, check: manyFieldsAreRefused},
	{name: "bytes of the body", route: topology.Route{MaxBodyBytes: 10}, check: statusOf("/", "0123456789a", 413)},
	{name: "connections of an address", change: func(c *Config) { c.MaxConnectionsPerAddress = 1 }, check: oneConnectionIsTaken},
	{name: "connections in all", change: func(c *Config) { c.MaxConnections = 1 }, check: oneConnectionIsTaken},
	{name: "streams of a connection", change: func(c *Config) { c.MaxStreams = 2 }, only: func(g engine) bool { return g.version > 1 }, check: twoStreamsAreTaken},
	{name: "requests of a connection", change: func(c *Config) { c.MaxRequests = 3 }, check: threeRequestsAreTaken},
}

// TestEveryLimitAndDeadlineHoldsOnEveryEngine is the one table of them. A case without its limit takes longer than Patience or
// gets another answer.
func TestEveryLimitAndDeadlineHoldsOnEveryEngine(t *testing.T) {
	for _, k := range limitCases {
		for _, g := range allEngines {
			if k.only != nil && !k.only(g) {
				continue
			}
			t.Run(k.name+"/"+g.name, func(t *testing.T) {
				t.Parallel()
				e := newEdge(t, withTLS(t, "a.test"), withHTTP3, func(c *Config) {
					c.IdleTimeout = 5 * time.Minute
					if k.change != nil {
						k.change(c)
					}
				})
				route := k.route
				route.Name, route.Pool = "web", "web"
				e.set.Put(&route)
				e.httpNode("n1", "web", limitsNode(e))
				k.check(t, e, g)
			})
		}
	}
}

// limitsNode answers / with ok, /never not at all, and /endless without end. It notes there that it could not go on.
func limitsNode(e *edge) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		switch r.URL.Path {
		case "/never":
			<-r.Context().Done()
		case "/endless":
			for b := make([]byte, 64<<10); r.Context().Err() == nil; {
				if _, err := w.Write(b); err != nil {
					break
				}
			}
			e.Write([]byte("the endless answer has ended\n"))
		default:
			io.WriteString(w, "ok")
		}
	}
}

// gone waits until no client has a connection any more.
func gone(t *testing.T, e *edge) {
	t.Helper()
	testnet.Wait(t, "the connection to end", func() bool { return e.connections() == 0 })
}

func (e *edge) connections() int {
	all, _ := e.s.places.Count(netip.Addr{})
	return all
}

// try asks once and returns the status, or what went wrong.
func try(c *http.Client, method, url string, body io.Reader, fields http.Header) (int, error) {
	req, err := http.NewRequest(method, url, body)
	if err != nil {
		return 0, err
	}
	for k, v := range fields {
		req.Header[k] = v
	}
	resp, err := c.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, nil
}

func statusOf(path, body string, want int) func(*testing.T, *edge, engine) {
	return func(t *testing.T, e *edge, g engine) {
		c, root := g.client(t, e)
		method := "GET"
		if body != "" {
			method = "POST"
		}
		if got, err := try(c, method, root+path, strings.NewReader(body), nil); err != nil || got != want {
			t.Errorf("got %d, %v; want %d", got, err, want)
		}
	}
}

// firstPacket sends what the client sends first, and nothing more.
type firstPacket struct {
	net.PacketConn
	sent     atomic.Bool
	once     sync.Once
	answered chan struct{} // closed when the server has said something
}

func (p *firstPacket) ReadFrom(b []byte) (int, net.Addr, error) {
	n, from, err := p.PacketConn.ReadFrom(b)
	if err == nil {
		p.once.Do(func() { close(p.answered) })
	}
	return n, from, err
}

func (p *firstPacket) WriteTo(b []byte, to net.Addr) (int, error) {
	if p.sent.Swap(true) {
		return len(b), nil
	}
	return p.PacketConn.WriteTo(b, to)
}

func handshakeIsBounded(t *testing.T, e *edge, g engine) {
	if g.version < 3 {
		c := testnet.Dial(t, e.secureAddr())
		c.Send("\x16\x03\x01")
		if got, _ := c.ReadAll(); got != "" {
			t.Errorf("got %q", got)
		}
		gone(t, e)
		return
	}
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer pc.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	to, _ := net.ResolveUDPAddr("udp", e.secureAddr())
	failed, first := make(chan struct{}), &firstPacket{PacketConn: pc, answered: make(chan struct{})}
	go func() {
		defer close(failed)
		if _, err := quic.Dial(ctx, first, to, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h3"}}, nil); err == nil {
			t.Error("the handshake was made")
		}
	}()
	<-first.answered // it has begun
	gone(t, e)
	cancel()
	<-failed
}

func halfAHeadEnds(t *testing.T, e *edge, g engine) {
	switch g.version {
	case 1:
		var c net.Conn = testnet.Dial(t, e.addr)
		if g.tls {
			c = dialALPN(t, e, "http/1.1")
		}
		io.WriteString(c, "GET / HTTP/1.1\r\nHost:")
		if got, _ := io.ReadAll(c); len(got) > 0 && !strings.HasPrefix(string(got), "HTTP/1.1 408 ") { // nothing: this came too late for a new connection
			t.Errorf("got %q", got)
		}
	case 2:
		c := dialH2(t, e, g.tls)
		b := c.encode(probes.Head("GET", "/"))
		c.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: b[:len(b)/2], EndStream: true})
		if got := c.outcome(1); got.Status != 0 || got.Else == "" {
			t.Errorf("got %+v", got)
		}
	case 3:
		c := h3raw.Dial(t, e.secureAddr(), "a.test")
		b := h3raw.Head("a.test", "/")
		if st, err := c.Conn.OpenStream(); err == nil {
			st.Write(b[:len(b)-2])
		}
		<-c.Conn.Context().Done()
	}
	gone(t, e)
}

// dripping is a body of which a byte comes now and then, until it is closed.
type dripping struct{ done chan struct{} }

func (d dripping) Read(p []byte) (int, error) {
	select {
	case <-d.done:
		return 0, io.EOF
	case <-time.After(short / 4):
		return copy(p, "x"), nil
	}
}

func aSlowBodyIsRefused(t *testing.T, e *edge, g engine) {
	c, root := g.client(t, e)
	body := dripping{make(chan struct{})}
	defer close(body.done)
	if got, err := try(c, "POST", root+"/", body, nil); err != nil || got != 408 {
		t.Errorf("got %d, %v", got, err)
	}
}

func aClientThatTakesNothingIsCut(t *testing.T, e *edge, g engine) {
	c, root := g.client(t, e)
	resp, err := c.Get(root + "/endless")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	testnet.Wait(t, "the node to be told", func() bool { return strings.Contains(e.logged(), "the endless answer has ended") })
	if _, err := io.Copy(io.Discard, resp.Body); err == nil {
		t.Error("the answer looks whole")
	}
}

func anIdleConnectionEnds(t *testing.T, e *edge, g engine) {
	c, root := g.client(t, e)
	testnet.Wait(t, "an answer", func() bool { // the first connection may have been idle for too long on a slow machine
		got, err := try(c, "GET", root+"/", nil, nil)
		return err == nil && got == 200
	})
	gone(t, e)
}

func aLargeHeadIsRefused(t *testing.T, e *edge, g engine) {
	long := strings.Repeat("x", 2100)
	if g.version == 2 { // net/http's client would not send it
		c := dialH2(t, e, g.tls)
		if got := c.outcome(c.get("/", "x-long", long)); got.Status != 431 {
			t.Errorf("got %+v", got)
		}
		return
	}
	c, root := g.client(t, e)
	if got, err := try(c, "GET", root+"/", nil, http.Header{"X-Long": {long}}); err != nil || got != 431 {
		t.Errorf("got %d, %v", got, err)
	}
}

func manyFieldsAreRefused(t *testing.T, e *edge, g engine) {
	c, root := g.client(t, e)
	for n, want := range map[int]int{10: 200, 31: 431} {
		fields := http.Header{}
		for i := range n {
			fields.Set(fmt.Sprintf("X-%d", i), "v")
		}
		if got, err := try(c, "GET", root+"/", nil, fields); err != nil || got != want {
			t.Errorf("%d fields: got %d, %v", n, got, err)
		}
	}
}

// oneConnectionIsTaken holds that a connection of one engine takes the place that one of any other would need.
func oneConnectionIsTaken(t *testing.T, e *edge, g engine) {
	c, root := g.client(t, e)
	ask := func() {
		t.Helper()
		if got, err := try(c, "GET", root+"/", nil, nil); err != nil || got != 200 {
			t.Fatalf("within the bound: got %d, %v", got, err)
		}
	}
	ask()
	for _, other := range allEngines {
		o, root := other.client(t, e)
		if got, err := try(o, "GET", root+"/", nil, nil); err == nil && got != 503 {
			t.Errorf("%s got %d", other.name, got)
		}
	}
	ask()
	c.CloseIdleConnections()
	gone(t, e)
	for _, other := range allEngines {
		o, root := other.client(t, e)
		if got, err := try(o, "GET", root+"/", nil, nil); err != nil || got != 200 {
			t.Errorf("%s in the place that was left: got %d, %v", other.name, got, err)
		}
		o.CloseIdleConnections()
		gone(t, e)
	}
}

func twoStreamsAreTaken(t *testing.T, e *edge, g engine) {
	if g.version == 2 {
		c := dialH2(t, e, g.tls)
		c.get("/never")
		c.get("/never")
		if got := c.outcome(c.get("/")); got.Else != "reset REFUSED_STREAM" {
			t.Errorf("a third stream: got %+v", got)
		}
		return
	}
	c := h3raw.Dial(t, e.secureAddr(), "a.test")
	c.Open(h3raw.Head("a.test", "/never"))
	c.Open(h3raw.Head("a.test", "/never"))
	var limit *quic.StreamLimitReachedError
	if _, err := c.Conn.OpenStream(); !errors.As(err, &limit) {
		t.Errorf("a third stream: %v", err)
	}
}

func threeRequestsAreTaken(t *testing.T, e *edge, g engine) {
	c, root, dials := g.countingClient(t, e)
	for i := range 7 {
		if got, err := try(c, "GET", root+"/", nil, nil); err != nil || got != 200 {
			t.Fatalf("request %d: got %d, %v", i, got, err)
		}
	}
	if n := dials(); n != 3 {
		t.Errorf("7 requests, of which a connection takes 3, made %d connections", n)
	}
	testnet.Wait(t, "the connections to end that have had theirs", func() bool { return e.connections() == 1 })
}

// TestAReloadHoldsForOpenConnectionsOnEveryEngine: what another configuration says holds from a connection's next request on.
func TestAReloadHoldsForOpenConnectionsOnEveryEngine(t *testing.T) {
	for _, g := range allEngines {
		t.Run(g.name, func(t *testing.T) {
			t.Parallel()
			e := newEdge(t, withTLS(t, "a.test"), withHTTP3)
			e.httpNode("n1", "web", limitsNode(e))
			c, root, dials := g.countingClient(t, e)
			fields := http.Header{}
			for i := range 40 {
				fields.Set(fmt.Sprintf("X-%d", i), "v")
			}
			ask := func(want int) {
				t.Helper()
				if got, err := try(c, "GET", root+"/", nil, fields); err != nil || got != want {
					t.Errorf("got %d, %v; want %d", got, err, want)
				}
			}
			ask(200)
			if err := e.change(func(c *Config) { c.Limits.Fields = 30 }); err != nil {
				t.Fatal(err)
			}
			before := dials()
			if ask(431); before != 1 || dials() != 1 {
				t.Errorf("it took %d connections", dials())
			}
			fields = nil
			ask(200) // HTTP/1.1's connection has ended with the refusal
			before = dials()
			if err := e.change(func(c *Config) { c.MaxRequests = 1 }); err != nil {
				t.Fatal(err)
			}
			ask(200)
			testnet.Wait(t, "the connection to end after its last request", func() bool { return e.connections() == 0 })
			if n := dials() - before; n != 0 {
				t.Errorf("the last request took %d further connections", n)
			}
			if err := e.change(func(c *Config) { c.MaxRequests, c.IdleTimeout = 100, 10*short }); err != nil {
				t.Fatal(err)
			}
			ask(200)
			gone(t, e)
		})
	}
}
