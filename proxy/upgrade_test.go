// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"meridian/internal/testnet"
	"meridian/topology"
)

// The example of RFC 6455, section 1.3.
const (
	askWebSocket = "GET /ws HTTP/1.1\r\nHost: a.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
	agreeWebSocket = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)

// webSocketNode adds a node that sends each message back.
func (e *edge) webSocketNode(name string) {
	up := websocket.Upgrader{Subprotocols: []string{"chat"}}
	e.httpNode(name, "web", func(w http.ResponseWriter, r *http.Request) {
		c, err := up.Upgrade(w, r, nil)
		if err != nil {
			return // it has answered
		}
		defer c.Close()
		for {
			kind, b, err := c.ReadMessage()
			if err != nil {
				return // gorilla has answered a close frame
			}
			if err := c.WriteMessage(kind, b); err != nil {
				return
			}
		}
	})
}

func (e *edge) dialWebSocket(t *testing.T) *websocket.Conn {
	t.Helper()
	d := websocket.Dialer{Subprotocols: []string{"chat"}, HandshakeTimeout: testnet.Patience}
	c, resp, err := d.Dial("ws://"+e.addr+"/ws", nil)
	if err != nil {
		t.Fatalf("%v, %v", err, resp)
	}
	t.Cleanup(func() { c.Close() })
	c.SetReadDeadline(time.Now().Add(testnet.Patience))
	return c
}

func TestAWebSocketEchoesMessagesOfAllSizes(t *testing.T) {
	e := newEdge(t)
	e.webSocketNode("n1")
	c := e.dialWebSocket(t)
	if c.Subprotocol() != "chat" {
		t.Errorf("the subprotocol is %q", c.Subprotocol())
	}
	for _, n := range []int{0, 1, 125, 126, 4096, 65536, 1 << 20} {
		sent := bytes.Repeat([]byte{byte(n)}, n)
		if err := c.WriteMessage(websocket.BinaryMessage, sent); err != nil {
			t.Fatal(err)
		}
		if _, got, err := c.ReadMessage(); err != nil || !bytes.Equal(got, sent) {
			t.Fatalf("of %d bytes %d came back, %v", n, len(got), err)
		}
	}
	if l := e.table.Load("n1"); l.Streams != 1 || l.InFlight != 0 || e.s.tunnels.Load() != 1 {
		t.Errorf("while it is open the node has %+v, the server %d tunnels", l, e.s.tunnels.Load())
	}
	c.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""), time.Now().Add(testnet.Patience))
	if _, _, err := c.ReadMessage(); !websocket.IsCloseError(err, websocket.CloseNormalClosure) {
		t.Errorf("the close ended with %v", err)
	}
	c.Close()
	testnet.Wait(t, "the place to be given back", func() bool { return e.table.Load("n1").Streams == 0 })
	testnet.Wait(t, "the log", func() bool {
		return strings.Contains(e.logged(), `"status":101`) && strings.Contains(e.logged(), `"upgrade":"websocket"`)
	})
	e.wantObserved("n1 success")
}

func TestNothingBehindAnUpgradeRequestIsForwardedBeforeThe101(t *testing.T) {
	e := newEdge(t)
	asked, quiet, done := make(chan struct{}), make(chan struct{}), make(chan struct{})
	e.rawNode("n1", "web", func(c *testnet.Conn) {
		defer close(done)
		head := c.ReadUntil("\r\n\r\n")
		if !strings.Contains(head, "Connection: Upgrade\r\nUpgrade: websocket\r\n") || !strings.Contains(head, "Sec-WebSocket-Version: 13\r\n") {
			t.Errorf("the node got %q", head)
		}
		close(asked)
		<-quiet
		c.SetReadDeadline(time.Now().Add(20 * time.Millisecond)) // long enough for bytes that were sent to be here
		if n, _ := c.Read(make([]byte, 1)); n > 0 {
			t.Error("the node got bytes before its 101")
		}
		c.SetReadDeadline(time.Now().Add(testnet.Patience))
		c.Send(agreeWebSocket + "early")
		if got := c.ReadUntil("later"); got != "pipelined, later" {
			t.Errorf("the node got %q", got)
		}
	})
	c := testnet.Dial(t, e.addr)
	c.Send(askWebSocket + "pipelined, ")
	<-asked
	c.Send("later")
	close(quiet)
	if got := c.ReadUntil("\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 101 Switching Protocols\r\n") ||
		!strings.Contains(got, "Connection: Upgrade\r\nUpgrade: websocket\r\n") || !strings.Contains(got, "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n") {
		t.Fatalf("got %q", got)
	}
	if got := c.ReadUntil("early"); got != "early" {
		t.Errorf("got %q", got)
	}
	<-done
}

func TestARefusedUpgradeIsAnOrdinaryAnswer(t *testing.T) {
	e := newEdge(t)
	e.rawNode("n1", "web", func(c *testnet.Conn) {
		if head := c.ReadUntil("\r\n\r\n"); !strings.Contains(head, "Upgrade: websocket") {
			t.Errorf("the node got %q", head)
		}
		c.Send("HTTP/1.1 426 Upgrade Required\r\nContent-Length: 2\r\n\r\nno")
		head := c.ReadUntil("\r\n\r\n")
		if !strings.HasPrefix(head, "GET /next HTTP/1.1\r\n") || strings.Contains(head, "Upgrade") {
			t.Errorf("the node got %q", head)
		}
		c.Send("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nyes")
	})
	c := testnet.Dial(t, e.addr)
	c.Send(strings.Replace(askWebSocket, "13", "777", 1) + "GET /next HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n")
	got, clean := c.ReadAll()
	if !strings.HasPrefix(got, "HTTP/1.1 426 Upgrade Required\r\n") || !strings.Contains(got, "\r\n\r\nnoHTTP/1.1 200 OK\r\n") || !strings.HasSuffix(got, "yes") || !clean {
		t.Errorf("got %q", got)
	}
}

func TestA101ThatDoesNotAgreeIsABadGateway(t *testing.T) {
	for name, head := range map[string]string{
		"wrong accept":  strings.Replace(agreeWebSocket, "s3pP", "AAAA", 1),
		"no accept":     "HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
		"h2c":           strings.Replace(agreeWebSocket, "websocket", "h2c", 1),
		"no connection": strings.Replace(agreeWebSocket, "Connection: Upgrade\r\n", "", 1),
		"a length":      strings.Replace(agreeWebSocket, "Connection: Upgrade\r\n", "Connection: Upgrade\r\nContent-Length: 4\r\n", 1),
	} {
		t.Run(name, func(t *testing.T) {
			e := newEdge(t)
			e.rawNode("n1", "web", func(c *testnet.Conn) {
				c.ReadUntil("\r\n\r\n")
				c.Send(head + "evil")
				if more, _ := c.ReadAll(); more != "" {
					t.Errorf("the node got %q", more)
				}
			})
			c := testnet.Dial(t, e.addr)
			c.Send(askWebSocket + smuggled)
			if got := c.ReadUntil("\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 502 ") {
				t.Errorf("got %q", got)
			}
			c.CloseWrite()
			if rest, _ := c.ReadAll(); strings.Contains(rest, "evil") {
				t.Errorf("the node's bytes came through: %q", rest)
			}
			testnet.Wait(t, "the node to be blamed", func() bool { return strings.HasPrefix(e.observed(), "n1 gateway-error") })
		})
	}
}

func TestAnUpgradeThatMayNotBeIsForwardedWithoutIt(t *testing.T) {
	for name, request := range map[string]string{
		"h2c":           "GET / HTTP/1.1\r\nHost: a.test\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\nConnection: Upgrade, HTTP2-Settings, close\r\n\r\n",
		"TLS":           "GET / HTTP/1.1\r\nHost: a.test\r\nUpgrade: TLS/1.2\r\nConnection: Upgrade, close\r\n\r\n",
		"two":           "GET / HTTP/1.1\r\nHost: a.test\r\nUpgrade: foo, bar\r\nConnection: Upgrade, close\r\n\r\n",
		"POST":          "POST / HTTP/1.1\r\nHost: a.test\r\nUpgrade: foo\r\nConnection: Upgrade, close\r\nContent-Length: 0\r\n\r\n",
		"with a body":   "GET / HTTP/1.1\r\nHost: a.test\r\nUpgrade: foo\r\nConnection: Upgrade, close\r\nContent-Length: 1\r\n\r\nx",
		"HTTP/1.0":      "GET / HTTP/1.0\r\nHost: a.test\r\nUpgrade: foo\r\nConnection: Upgrade\r\n\r\n",
		"no connection": "GET / HTTP/1.1\r\nHost: a.test\r\nUpgrade: foo\r\nConnection: close\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			e := newEdge(t)
			e.rawNode("n1", "web", func(c *testnet.Conn) {
				if head := strings.ToLower(c.ReadUntil("\r\n\r\n")); strings.Contains(head, "upgrade") || strings.Contains(head, "http2-settings") {
					t.Errorf("the node got %q", head)
				}
				c.Send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
				c.ReadAll()
			})
			c := testnet.Dial(t, e.addr)
			c.Send(request)
			if got, _ := c.ReadAll(); !strings.HasPrefix(got, "HTTP/1.1 200 ") {
				t.Errorf("got %q", got)
			}
		})
	}
}

func TestA101ThatNobodyAskedForIsABadGateway(t *testing.T) {
	e := newEdge(t)
	e.rawNode("n1", "web", func(c *testnet.Conn) {
		c.ReadUntil("\r\n\r\n")
		c.Send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n")
		c.ReadAll()
	})
	if status, _, _ := e.ask("GET", "/", ""); status != 502 {
		t.Errorf("got %d", status)
	}
}

// openRaw opens a tunnel of another protocol, with half-closes, or of a WebSocket.
func openRaw(t *testing.T, e *edge, request, agree string, serve func(*testnet.Conn)) *testnet.Conn {
	t.Helper()
	e.rawNode("n1", "web", func(c *testnet.Conn) {
		c.ReadUntil("\r\n\r\n")
		c.Send(agree)
		serve(c)
	})
	c := testnet.Dial(t, e.addr)
	c.Send(request)
	if got := c.ReadUntil("\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 101 ") {
		t.Fatalf("got %q", got)
	}
	return c
}

const (
	askOther   = "GET / HTTP/1.1\r\nHost: a.test\r\nUpgrade: foo/1\r\nConnection: upgrade\r\n\r\n"
	agreeOther = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: foo/1\r\nConnection: upgrade\r\n\r\n"
)

func TestATunnelsDirectionsEndOneByOne(t *testing.T) {
	e := newEdge(t)
	c := openRaw(t, e, askOther, agreeOther, func(c *testnet.Conn) {
		got, clean := c.ReadAll()
		c.Send(fmt.Sprintf("got %q, clean: %v", got, clean))
	})
	c.Send("question")
	c.CloseWrite()
	if got, clean := c.ReadAll(); got != `got "question", clean: true` || !clean {
		t.Errorf("got %q, clean: %v", got, clean)
	}
}

func TestATunnelIsHeldBackByItsSlowSide(t *testing.T) {
	t.Parallel()
	const size = 32 << 20
	e := newEdge(t)
	start := make(chan struct{})
	sent := make(chan int64, 1)
	c := openRaw(t, e, askOther, agreeOther, func(c *testnet.Conn) {
		n, _ := io.Copy(c, io.LimitReader(new(pattern), size))
		sent <- n
		c.CloseWrite()
		c.ReadAll()
	})
	go func() {
		defer close(start)
		testnet.Wait(t, "the tunnel", func() bool { return e.s.tunnels.Load() == 1 })
	}()
	<-start
	select {
	case n := <-sent: // 32 MiB don't fit the sockets' buffers
		t.Errorf("%d bytes were taken while nobody read", n)
	case <-time.After(100 * time.Millisecond):
	}
	n, err := io.Copy(io.Discard, c)
	if n != size || err != nil {
		t.Errorf("%d bytes came, %v", n, err)
	}
}

func TestASilentTunnelEnds(t *testing.T) {
	e := newEdge(t)
	e.set.Put(&topology.Route{Name: "web", Pool: "web", Timeouts: topology.Timeouts{Idle: topology.Duration(50 * time.Millisecond)}})
	c := openRaw(t, e, askOther, agreeOther, func(c *testnet.Conn) { c.ReadAll() })
	c.ReadAll()
	testnet.Wait(t, "the log", func() bool { return strings.Contains(e.logged(), "nothing was sent in either direction") })
	testnet.Wait(t, "the place to be given back", func() bool { return e.table.Load("n1").Streams == 0 })
}

func TestWebSocketsAreToldOfTheEdgesEnd(t *testing.T) {
	t.Parallel()
	e := newEdge(t)
	e.webSocketNode("n1")
	c := e.dialWebSocket(t)
	c.WriteMessage(websocket.TextMessage, []byte("x"))
	c.ReadMessage()
	stopped := make(chan error, 1)
	go func() { stopped <- e.stop() }()
	if _, _, err := c.ReadMessage(); !websocket.IsCloseError(err, websocket.CloseGoingAway) {
		t.Errorf("got %v, want a close frame with 1001", err)
	}
	began := time.Now()
	<-stopped
	if took := time.Since(began); took > shutdownGoodbye/2 {
		t.Errorf("after the client's close it took %s", took)
	}
}

func TestGoingAwayIsSaidBehindTheFrameThatIsOnItsWay(t *testing.T) {
	t.Parallel()
	e := newEdge(t)
	half := make(chan struct{})
	c := openRaw(t, e, askWebSocket, agreeWebSocket, func(c *testnet.Conn) {
		c.Send("\x82\x0ahello")
		<-half
		c.Send("world\x82\x01x")
		if got := c.ReadUntil("\x88\x82abcd\x62\x8b"); !strings.HasSuffix(got, "\x62\x8b") {
			t.Errorf("the node got %q of the client's close", got)
		}
	})
	if got := c.ReadUntil("hello"); got != "\x82\x0ahello" {
		t.Fatalf("got %q", got)
	}
	e.drainNode("n1", true)
	e.table.Cut("n1")
	if n := e.s.CutNode("n1"); n != 1 {
		t.Errorf("%d were cut", n)
	}
	close(half)
	if got := c.ReadUntil("\x03\xe9"); got != "world\x88\x02\x03\xe9" {
		t.Errorf("got %q", got)
	}
	c.Send("\x88\x82abcd\x62\x8b")
	if rest, _ := c.ReadAll(); rest != "" {
		t.Errorf("behind the close frame came %q", rest)
	}
	testnet.Wait(t, "the place to be given back", func() bool { return e.table.Load("n1").Streams == 0 })
	testnet.Wait(t, "the log", func() bool { return strings.Contains(e.logged(), "drain reached its deadline") })
}

func TestACutTunnelOfAnotherProtocolEndsAtOnce(t *testing.T) {
	e := newEdge(t)
	c := openRaw(t, e, askOther, agreeOther, func(c *testnet.Conn) { c.ReadAll() })
	testnet.Wait(t, "the tunnel", func() bool { return e.s.tunnels.Load() == 1 })
	e.drainNode("n1", true)
	e.table.Cut("n1")
	e.s.CutNode("n1")
	if got, _ := c.ReadAll(); got != "" {
		t.Errorf("got %q", got)
	}
}
