// SPDX-License-Identifier: Apache-2.0

package h2

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"meridian/internal/testnet"
	"meridian/proxy/exchange"
	"meridian/proxy/http1"
	"meridian/proxy/upstream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pool returns a pool whose Run ends with the test.
func pool(t testing.TB, c Config) *Pool {
	p := NewPool(c)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); p.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return p
}

// serve starts a node of net/http's that speaks HTTP/2 in clear text.
func serve(t testing.TB, h http.HandlerFunc) string {
	s := httptest.NewUnstartedServer(h)
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Start()
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// raw is a node that is driven frame by frame.
type raw struct {
	*testnet.Conn
	*http2.Framer
	t    testing.TB
	hbuf bytes.Buffer
	henc *hpack.Encoder
}

// rawNode starts a node that has exchanged settings when f is called.
func rawNode(t testing.TB, f func(*raw), settings ...http2.Setting) *testnet.Node {
	return testnet.Listen(t, func(c *testnet.Conn) {
		preface := make([]byte, len(http2.ClientPreface))
		if _, err := io.ReadFull(c, preface); err != nil || string(preface) != http2.ClientPreface {
			return
		}
		r := &raw{Conn: c, Framer: http2.NewFramer(c, c), t: t}
		r.henc = hpack.NewEncoder(&r.hbuf)
		r.Framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
		r.WriteSettings(settings...)
		r.WriteSettingsAck()
		f(r)
	})
}

// next returns the next frame of a type, or nil when the connection has ended.
func next[F http2.Frame](r *raw) (f F) {
	for {
		got, err := r.ReadFrame()
		if err != nil {
			return f
		}
		if f, ok := got.(F); ok {
			return f
		}
	}
}

// head sends a head of names and values that take turns.
func (r *raw) head(id uint32, end bool, fields ...string) {
	r.hbuf.Reset()
	for i := 0; i+1 < len(fields); i += 2 {
		r.henc.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	r.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: r.hbuf.Bytes(), EndHeaders: true, EndStream: end})
}

// get prepares a GET.
func get(path string) *upstream.Request {
	return &upstream.Request{Outgoing: http1.Outgoing{Method: "GET", Target: path, Host: "a.test", Length: exchange.LengthNone}, Whole: true}
}

// ask sends a request and reads the whole answer.
func ask(p *Pool, addr string, q *upstream.Request) (status int, body string, trailer exchange.Header, err error) {
	c, err := p.Get(context.Background(), addr, testnet.Patience)
	if err != nil {
		return 0, "", nil, err
	}
	defer c.Close()
	c.Begin(testnet.Patience, false)
	if _, err := c.Send(q, nil, testnet.Patience); err != nil {
		return 0, "", nil, err
	}
	resp, _, err := c.ReadHead(http1.Sent{Method: q.Method}, testnet.Patience)
	if err != nil {
		return 0, "", nil, err
	}
	b, err := io.ReadAll(c.Body())
	if err == nil {
		c.Release(0)
	}
	return resp.Status, string(b), c.Trailer(), err
}

func TestRequestsShareAConnectionUpToWhatTheNodeTakes(t *testing.T) {
	const streams, requests = 10, 25
	var mu sync.Mutex
	conns := map[string]int{}
	release := make(chan struct{})
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		conns[r.RemoteAddr]++
		mu.Unlock()
		<-release
		fmt.Fprintf(w, "%s %s %s", r.Proto, r.Host, r.RequestURI)
	}))
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Config.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: streams}
	s.Start()
	defer s.Close()
	p := pool(t, Config{})
	var wg sync.WaitGroup
	for range requests {
		wg.Go(func() {
			if status, body, _, err := ask(p, s.Listener.Addr().String(), get("/x?y")); status != 200 || body != "HTTP/2.0 a.test /x?y" || err != nil {
				t.Errorf("got %d %q, %v", status, body, err)
			}
		})
	}
	testnet.Wait(t, "all to be there", func() bool {
		mu.Lock()
		defer mu.Unlock()
		n := 0
		for _, c := range conns {
			n += c
		}
		return n == requests
	})
	close(release)
	wg.Wait()
	if len(conns) != 3 {
		t.Errorf("%v; want 3 connections", conns)
	}
	for addr, n := range conns {
		if n > streams {
			t.Errorf("%s had %d", addr, n)
		}
	}
}

func TestLargeBodiesAndTrailersPassBothWays(t *testing.T) {
	const size = 4 << 20
	addr := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-Sum")
		n, err := io.Copy(w, r.Body)
		w.Header().Set("X-Sum", fmt.Sprintf("%d %v %v", n, err, r.Trailer))
	})
	p := pool(t, Config{})
	c, err := p.Get(t.Context(), addr, testnet.Patience)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.Begin(testnet.Patience, true)
	q := get("/")
	q.Method, q.Whole, q.Length = "POST", false, exchange.LengthUnknown
	q.Header = exchange.Header{{Name: "Trailer", Value: "X-Up"}}
	if _, err := c.Send(q, nil, testnet.Patience); err != nil {
		t.Fatal(err)
	}
	part := bytes.Repeat([]byte("abcdefgh"), 4096)
	var up sync.WaitGroup
	up.Go(func() {
		for range size / len(part) {
			if err := c.SendBody(part, testnet.Patience); err != nil {
				t.Error(err)
				return
			}
		}
		if err := c.EndBody(exchange.Header{{Name: "X-Up", Value: "7"}}, testnet.Patience); err != nil {
			t.Error(err)
		}
		c.RequestSent()
	})
	defer up.Wait()
	resp, _, err := c.ReadHead(http1.Sent{Method: "POST"}, testnet.Patience)
	if err != nil || resp.Status != 200 || resp.Length != exchange.LengthUnknown {
		t.Fatalf("%+v, %v", resp, err)
	}
	n, err := io.Copy(io.Discard, c.Body())
	if n != size || err != nil {
		t.Errorf("%d bytes came, %v", n, err)
	}
	if got, want := c.Trailer().Get("X-Sum"), fmt.Sprintf("%d <nil> map[X-Up:[7]]", size); got != want {
		t.Errorf("the trailer is %q, want %q", got, want)
	}
}

func TestWhatANodeDidNotTakeIsKnown(t *testing.T) {
	for name, refuse := range map[string]func(*raw, uint32){
		"REFUSED_STREAM": func(r *raw, id uint32) { r.WriteRSTStream(id, http2.ErrCodeRefusedStream) },
		"GOAWAY":         func(r *raw, _ uint32) { r.WriteGoAway(0, http2.ErrCodeNo, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			n := rawNode(t, func(r *raw) {
				if f := next[*http2.MetaHeadersFrame](r); f != nil {
					refuse(r, f.StreamID)
				}
				r.ReadAll()
			})
			if _, _, _, err := ask(pool(t, Config{}), n.Addr, get("/")); !errors.Is(err, ErrUnprocessed) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestAGoAwayLetsTheOlderRequestsEnd(t *testing.T) {
	n := rawNode(t, func(r *raw) {
		id := next[*http2.MetaHeadersFrame](r).StreamID
		r.WriteGoAway(id, http2.ErrCodeNo, nil)
		r.head(id, false, ":status", "200")
		r.WriteData(id, true, []byte("ok"))
		r.ReadAll()
	})
	p := pool(t, Config{})
	for range 2 { // the second on a new connection
		if status, body, _, err := ask(p, n.Addr, get("/")); status != 200 || body != "ok" || err != nil {
			t.Errorf("got %d %q, %v", status, body, err)
		}
	}
	if n.Accepted() != 2 {
		t.Errorf("%d connections", n.Accepted())
	}
	testnet.Wait(t, "the connections to end", func() bool { return p.Stats().Open == 0 })
}

func TestMalformedAnswersAreRefused(t *testing.T) {
	for name, answer := range map[string]func(*raw, uint32){
		"no status":         func(r *raw, id uint32) { r.head(id, true, "x", "y") },
		"a bad status":      func(r *raw, id uint32) { r.head(id, true, ":status", "20x") },
		"101":               func(r *raw, id uint32) { r.head(id, true, ":status", "101") },
		"two statuses":      func(r *raw, id uint32) { r.head(id, true, ":status", "200", ":status", "200") },
		"upper case":        func(r *raw, id uint32) { r.head(id, true, ":status", "200", "X", "y") },
		"a line feed":       func(r *raw, id uint32) { r.head(id, true, ":status", "200", "x", "a\nb") },
		"transfer-encoding": func(r *raw, id uint32) { r.head(id, true, ":status", "200", "transfer-encoding", "chunked") },
		"connection":        func(r *raw, id uint32) { r.head(id, true, ":status", "200", "connection", "close") },
		"two lengths": func(r *raw, id uint32) {
			r.head(id, true, ":status", "200", "content-length", "0", "content-length", "0")
		},
		"a signed length":    func(r *raw, id uint32) { r.head(id, true, ":status", "200", "content-length", "+0") },
		"too short a body":   func(r *raw, id uint32) { r.head(id, true, ":status", "200", "content-length", "1") },
		"data before a head": func(r *raw, id uint32) { r.WriteData(id, true, []byte("x")) },
		"an endless 1xx": func(r *raw, id uint32) {
			for range 20 {
				r.head(id, false, ":status", "103")
			}
		},
		"many fields": func(r *raw, id uint32) {
			r.head(id, true, append([]string{":status", "200"}, strings.Split(strings.Repeat("a,b,", 101), ",")...)...)
		},
		"a push": func(r *raw, id uint32) {
			r.WritePushPromise(http2.PushPromiseParam{StreamID: id, PromiseID: 2, EndHeaders: true})
		},
		"an idle one":   func(r *raw, _ uint32) { r.WriteData(99, false, []byte("x")) },
		"much data":     func(r *raw, id uint32) { r.head(id, false, ":status", "200"); flood(r, id) },
		"a huge window": func(r *raw, id uint32) { r.WriteWindowUpdate(id, 1<<31-1) },
	} {
		t.Run(name, func(t *testing.T) {
			n := rawNode(t, func(r *raw) {
				if f := next[*http2.MetaHeadersFrame](r); f != nil {
					answer(r, f.StreamID)
				}
				r.ReadAll()
			})
			p := pool(t, Config{})
			c, err := p.Get(t.Context(), n.Addr, testnet.Patience)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			c.Begin(testnet.Patience, false)
			if _, err := c.Send(get("/"), nil, testnet.Patience); err != nil {
				t.Fatal(err)
			}
			_, _, err = c.ReadHead(http1.Sent{Method: "GET"}, testnet.Patience)
			if name == "much data" && err == nil {
				testnet.Wait(t, "the connection to end", func() bool { return p.Stats().Open == 0 }) // without a read
				return
			}
			if err == nil || errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, ErrUnprocessed) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// flood sends more than the stream's window.
func flood(r *raw, id uint32) {
	for range streamWindow/16384 + 1 {
		r.WriteData(id, false, make([]byte, 16384))
	}
}

func TestABrokenAnswerIsNotWhole(t *testing.T) {
	for name, end := range map[string]func(*raw, uint32){
		"reset":        func(r *raw, id uint32) { r.WriteRSTStream(id, http2.ErrCodeInternal) },
		"close":        func(r *raw, _ uint32) {},
		"short":        func(r *raw, id uint32) { r.WriteData(id, true, nil) },
		"second head":  func(r *raw, id uint32) { r.head(id, false, "x", "y") },
		"bad trailers": func(r *raw, id uint32) { r.head(id, true, ":status", "200") },
	} {
		t.Run(name, func(t *testing.T) {
			n := rawNode(t, func(r *raw) {
				id := next[*http2.MetaHeadersFrame](r).StreamID
				r.head(id, false, ":status", "200", "content-length", "9")
				r.WriteData(id, false, []byte("half"))
				if end(r, id); name != "close" {
					r.ReadAll()
				}
			})
			if _, body, _, err := ask(pool(t, Config{}), n.Addr, get("/")); err == nil {
				t.Errorf("%q came as if it were whole", body)
			}
		})
	}
}

func TestInterimAnswersAreTold(t *testing.T) {
	n := rawNode(t, func(r *raw) {
		id := next[*http2.MetaHeadersFrame](r).StreamID
		r.head(id, false, ":status", "100")
		r.head(id, false, ":status", "103", "link", "</a>")
		r.head(id, true, ":status", "204")
		r.ReadAll()
	})
	c, err := pool(t, Config{}).Get(t.Context(), n.Addr, testnet.Patience)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.Begin(testnet.Patience, false)
	c.Send(get("/"), nil, testnet.Patience)
	var told []string
	resp, _, err := c.ReadHead(http1.Sent{Method: "GET", Interim: func(h *exchange.Head) error {
		told = append(told, fmt.Sprint(h.Status, h.Header))
		return nil
	}}, testnet.Patience)
	if err != nil || resp.Status != 204 || len(told) != 1 || told[0] != "103 [{link </a>}]" {
		t.Errorf("got %+v, %v; told %q", resp, err, told)
	}
}

func TestASilentNodeIsFoundByPing(t *testing.T) {
	pinged := make(chan bool, 1)
	n := rawNode(t, func(r *raw) {
		pinged <- next[*http2.PingFrame](r) != nil
		r.ReadAll()
	})
	p := pool(t, Config{PingAfter: 40 * time.Millisecond})
	_, _, _, err := ask(p, n.Addr, get("/"))
	if !errors.Is(err, errSilent) || !<-pinged {
		t.Errorf("got %v", err)
	}
}

func TestAnAnswerMustBeginInTime(t *testing.T) {
	done := make(chan struct{})
	n := rawNode(t, func(r *raw) {
		id := next[*http2.MetaHeadersFrame](r).StreamID
		if f := next[*http2.RSTStreamFrame](r); f == nil || f.StreamID != id || f.ErrCode != http2.ErrCodeCancel {
			t.Errorf("the node got %v", f)
		}
		close(done)
		r.ReadAll()
	})
	p := pool(t, Config{})
	c, err := p.Get(t.Context(), n.Addr, testnet.Patience)
	if err != nil {
		t.Fatal(err)
	}
	c.Begin(20*time.Millisecond, false)
	c.Send(get("/"), nil, testnet.Patience)
	if _, started, err := c.ReadHead(http1.Sent{Method: "GET"}, testnet.Patience); !errors.Is(err, os.ErrDeadlineExceeded) || started {
		t.Errorf("got %v, started %v", err, started)
	}
	c.Close()
	if p.Stats().Open != 1 {
		t.Error("the connection did not survive")
	}
	<-done
}

func TestANodeOfHTTP1IsFoundBeforeARequestIsSent(t *testing.T) {
	n := testnet.Listen(t, func(c *testnet.Conn) {
		c.ReadUntil("\r\n\r\n")
		c.Send("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
	})
	if _, err := pool(t, Config{}).Get(t.Context(), n.Addr, testnet.Patience); !errors.Is(err, ErrGreeting) {
		t.Errorf("got %v", err)
	}
	if _, err := pool(t, Config{}).Get(t.Context(), testnet.Unused(t), testnet.Patience); err == nil {
		t.Error("a connection to nobody")
	}
}

func TestUnusedConnectionsEnd(t *testing.T) {
	addr := serve(t, func(w http.ResponseWriter, r *http.Request) {})
	p := pool(t, Config{IdleTimeout: 20 * time.Millisecond})
	if status, _, _, err := ask(p, addr, get("/")); status != 200 || err != nil {
		t.Fatalf("got %d, %v", status, err)
	}
	testnet.Wait(t, "the connection to end", func() bool { return p.Stats().Open == 0 })
}

func TestWritingWaitsForTheNodesWindow(t *testing.T) {
	go1 := make(chan struct{})
	n := rawNode(t, func(r *raw) {
		id := next[*http2.MetaHeadersFrame](r).StreamID
		got := len(next[*http2.DataFrame](r).Data())
		<-go1
		r.WriteWindowUpdate(id, 1<<16)
		for got < 300 {
			f := next[*http2.DataFrame](r)
			if f == nil {
				return
			}
			got += len(f.Data())
		}
		r.head(id, true, ":status", "204")
		r.ReadAll()
	}, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 100})
	c, err := pool(t, Config{}).Get(t.Context(), n.Addr, testnet.Patience)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.Begin(testnet.Patience, true)
	q := get("/")
	q.Method, q.Length, q.Whole = "POST", 300, false
	c.Send(q, nil, testnet.Patience)
	if err := c.SendBody(make([]byte, 300), 30*time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("300 bytes went into a window of 100: %v", err)
	}
	close(go1)
	if err := c.SendBody(make([]byte, 200), testnet.Patience); err != nil {
		t.Error(err)
	}
	c.EndBody(nil, testnet.Patience)
	c.RequestSent()
	if resp, _, err := c.ReadHead(http1.Sent{Method: "POST"}, testnet.Patience); err != nil || resp.Status != 204 {
		t.Errorf("%+v, %v", resp, err)
	}
}

// FuzzAnswer has a node send anything at all behind its settings.
func FuzzAnswer(f *testing.F) {
	frame := func(write func(*http2.Framer)) []byte {
		var b bytes.Buffer
		write(http2.NewFramer(&b, nil))
		return b.Bytes()
	}
	f.Add(frame(func(fr *http2.Framer) {
		fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0x88}, EndHeaders: true})
		fr.WriteData(1, true, []byte("x"))
	}))
	f.Add(frame(func(fr *http2.Framer) { fr.WriteGoAway(0, 0, nil); fr.WritePing(false, [8]byte{}) }))
	f.Add(frame(func(fr *http2.Framer) { fr.WriteSettings(http2.Setting{ID: 4, Val: 0}); fr.WriteRSTStream(1, 7) }))
	f.Fuzz(func(t *testing.T, sent []byte) {
		client, server := net.Pipe()
		p := NewPool(Config{})
		c := newConn(p, "x", client)
		call := c.reserve()
		p.wg.Go(c.readLoop)
		p.wg.Go(c.controlLoop)
		var node sync.WaitGroup
		node.Go(func() { io.Copy(io.Discard, server) })
		node.Go(func() { server.Write(sent); server.Close() })
		call.Begin(testnet.Patience, false)
		if n, err := call.Send(get("/"), nil, testnet.Patience); n > 0 && err == nil {
			if _, _, err := call.ReadHead(http1.Sent{Method: "GET"}, testnet.Patience); err == nil {
				if _, err := io.ReadAll(call); errors.Is(err, os.ErrDeadlineExceeded) {
					t.Error("waited for an answer whose connection has ended")
				}
			}
		}
		call.Close()
		c.fail(errPoolClosed)
		client.Close()
		node.Wait()
		p.wg.Wait()
		if c.places != 0 || len(c.calls) != 0 {
			t.Errorf("%d places and %d calls are left", c.places, len(c.calls))
		}
	})
}
