// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"meridian/internal/testnet"
)

// serveNode starts an edge with one pool behind everything, whose node is at that address, and returns where it listens.
func serveNode(t *testing.T, protocol, node string) (clear, secure string) {
	t.Helper()
	dir := t.TempDir()
	put := func(name string, content []byte) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	at := func() string { return fmt.Sprintf("127.0.0.1:%d", freePort(t)) }
	clear, secure = at(), at()
	topology := put("topology.yaml", fmt.Appendf(nil, "regions: [{name: lab}]\npools: [{name: p, protocol: %s, health_check: {type: tcp, interval: 10s, timeout: 5s}}]\nnodes: [{name: n1, pool: p, region: lab, address: %q}]\nroutes: [{name: r, pool: p, timeouts: {connect: 10s}}]\n", protocol, node))
	c, k := testnet.Certificate(t, "a.test")
	config := put("edge.yaml", fmt.Appendf(nil, "name: e1\nregion: lab\ntopology_file: %s\nadmin: {listen: %q}\nhttp: {listen: [%q]}\nhttps: {listen: [%q], certificates: [{cert: %s, key: %s}]}\n",
		topology, at(), clear, secure, put("a.crt", c), put("a.key", k)))
	startProgram(t, "edge", "serve", "-c", config)
	testnet.Wait(t, "the edge to listen", func() bool {
		nc, err := net.Dial("tcp", secure)
		if err == nil {
			nc.Close()
		}
		return err == nil
	})
	return clear, secure
}

// The methods of the node of gRPC, all with the messages of the health service, whose only string is handy.
const (
	callUnary  = "/test.Test/Unary"  // the message, twice over
	callGather = "/test.Test/Gather" // all messages as one
	callRepeat = "/test.Test/Repeat" // the message three times
	callEcho   = "/test.Test/Echo"   // each message when it comes
	callFail   = "/test.Test/Fail"   // a message, then the status in metadata "x-want"
	callStall  = "/test.Test/Stall"  // nothing until the call ends, which "ended" is told of
)

type word = healthpb.HealthCheckRequest

// testService answers every method.
func testService(ended chan<- error) grpc.StreamHandler {
	return func(_ any, st grpc.ServerStream) error {
		method, _ := grpc.MethodFromServerStream(st)
		in, _ := metadata.FromIncomingContext(st.Context())
		st.SetHeader(metadata.Pairs("x-head", strings.Join(in.Get("x-ask"), "+"), "x-head-bin", strings.Join(in.Get("x-ask-bin"), "+")))
		st.SetTrailer(metadata.Pairs("x-trailer", "behind", "x-trailer-bin", "\x00\xff"))
		all := ""
		for {
			m := &word{}
			if err := st.RecvMsg(m); errors.Is(err, io.EOF) {
				if method == callGather {
					return st.SendMsg(&word{Service: all})
				}
				return nil
			} else if err != nil {
				return err
			}
			all += m.Service
			copies := 1
			switch method {
			case callGather:
				copies = 0
			case callUnary:
				m.Service += m.Service
			case callRepeat:
				copies = 3
			case callStall:
				st.SendHeader(nil) // so that the client knows that the call is here
				<-st.Context().Done()
				ended <- st.Context().Err()
				return st.Context().Err()
			}
			for range copies {
				if err := st.SendMsg(m); err != nil {
					return err
				}
			}
			if method == callFail {
				code, err := strconv.Atoi(strings.Join(in.Get("x-want"), ""))
				if err != nil {
					return err
				}
				return status.Error(codes.Code(code), wantedMessage)
			}
		}
	}
}

// wantedMessage has what PROTOCOL-HTTP2.md wants encoded.
const wantedMessage = "as wanted: 100 % ünïcode\n"

// TestAClientOfGRPCThroughTheProgram is grpc-go's, over TLS, with a server of it behind.
func TestAClientOfGRPCThroughTheProgram(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	s, served := grpc.NewServer(grpc.UnknownServiceHandler(testService(ended))), make(chan error, 1)
	go func() { served <- s.Serve(ln) }()
	defer func() { s.Stop(); <-served }()
	_, secure := serveNode(t, "grpc", ln.Addr().String())
	c, err := grpc.NewClient("passthrough:///"+secure, grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{ServerName: "a.test", InsecureSkipVerify: true})))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 2*testnet.Patience)
	defer cancel()
	ctx = metadata.AppendToOutgoingContext(ctx, "x-ask", "one", "x-ask", "two", "x-ask-bin", "\x00\x01")
	testnet.Wait(t, "the edge to serve", func() bool { return c.Invoke(ctx, callUnary, &word{}, &word{}) == nil })

	t.Run("unary, metadata and trailers", func(t *testing.T) {
		var head, trailer metadata.MD
		got := &word{}
		err := c.Invoke(ctx, callUnary, &word{Service: "word"}, got, grpc.Header(&head), grpc.Trailer(&trailer))
		if err != nil || got.Service != "wordword" || strings.Join(head.Get("x-head"), ",") != "one+two" || strings.Join(head.Get("x-head-bin"), ",") != "\x00\x01" ||
			strings.Join(trailer.Get("x-trailer"), ",") != "behind" || strings.Join(trailer.Get("x-trailer-bin"), ",") != "\x00\xff" {
			t.Errorf("got %q, %v, %v, %v", got.Service, head, trailer, err)
		}
	})
	t.Run("streams", func(t *testing.T) {
		for method, want := range map[string]string{callGather: "abc", callRepeat: "aaabbbccc", callEcho: "abc"} {
			st, err := c.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, method)
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			receive := func() error {
				m := &word{}
				err := st.RecvMsg(m)
				got += m.Service
				return err
			}
			for _, letter := range []string{"a", "b", "c"} {
				if err := st.SendMsg(&word{Service: letter}); err != nil {
					t.Fatal(err)
				}
				if method == callEcho { // before the next one is sent
					if err := receive(); err != nil || !strings.HasSuffix(got, letter) {
						t.Errorf("after %s: %q, %v", letter, got, err)
					}
				}
			}
			st.CloseSend()
			for err == nil {
				err = receive()
			}
			if err != io.EOF || got != want || strings.Join(st.Trailer().Get("x-trailer"), ",") != "behind" {
				t.Errorf("%s: got %q, %v, %v", method, got, st.Trailer(), err)
			}
			err = nil
		}
	})
	t.Run("statuses", func(t *testing.T) {
		for code := codes.Canceled; code <= codes.Unauthenticated; code++ {
			err := c.Invoke(metadata.AppendToOutgoingContext(ctx, "x-want", strconv.Itoa(int(code))), callFail, &word{Service: "x"}, &word{})
			if s := status.Convert(err); s.Code() != code || s.Message() != wantedMessage {
				t.Errorf("%s came as %v", code, err)
			}
		}
	})
	t.Run("large messages", func(t *testing.T) {
		big := strings.Repeat("x", 4<<20-100)
		got := &word{}
		if err := c.Invoke(ctx, callGather, &word{Service: big}, got); err != nil || got.Service != big {
			t.Errorf("%d bytes came back as %d, %v", len(big), len(got.Service), err)
		}
		if err := c.Invoke(ctx, callGather, &word{Service: big + big}, got); status.Code(err) != codes.ResourceExhausted {
			t.Errorf("more than the node takes: %v", err)
		}
		if err := c.Invoke(ctx, callUnary, &word{Service: big}, got); status.Code(err) != codes.ResourceExhausted {
			t.Errorf("more than the client takes: %v", err)
		}
	})
	t.Run("deadline", func(t *testing.T) {
		short, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
		defer cancel()
		if err := c.Invoke(short, callStall, &word{}, &word{}); status.Code(err) != codes.DeadlineExceeded {
			t.Errorf("got %v", err)
		}
		<-ended
	})
	t.Run("cancel", func(t *testing.T) {
		going, cancel := context.WithCancel(ctx)
		st, err := c.NewStream(going, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, callStall)
		if err != nil {
			t.Fatal(err)
		}
		if err := st.SendMsg(&word{}); err != nil {
			t.Fatal(err)
		}
		if _, err := st.Header(); err != nil {
			t.Fatal(err)
		}
		cancel()
		if err := st.RecvMsg(&word{}); status.Code(err) != codes.Canceled {
			t.Errorf("got %v", err)
		}
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("the node's call ended with %v", err)
		}
	})
}

// webSocketNode echoes messages; to "close" it closes with 4321, to "ping" it sends a ping and then what its pong brought.
func webSocketNode(t *testing.T) string {
	up := websocket.Upgrader{Subprotocols: []string{"chat"}, EnableCompression: true}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := up.Upgrade(w, r, nil)
		if err != nil {
			return // it has answered
		}
		defer c.Close()
		c.SetPongHandler(func(s string) error { return c.WriteMessage(websocket.TextMessage, []byte("pong "+s)) })
		for {
			kind, m, err := c.ReadMessage()
			switch {
			case err != nil:
				return // gorilla has answered a close frame
			case string(m) == "close":
				c.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(4321, "enough"), time.Now().Add(testnet.Patience))
			case string(m) == "ping":
				c.WriteControl(websocket.PingMessage, []byte("from the node"), time.Now().Add(testnet.Patience))
			default:
				if c.WriteMessage(kind, m) != nil {
					return
				}
			}
		}
	}))
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// TestAWebSocketThroughTheProgram is gorilla's client, in clear text and over TLS, with and without compression.
func TestAWebSocketThroughTheProgram(t *testing.T) {
	t.Parallel()
	clear, secure := serveNode(t, "http", webSocketNode(t))
	for _, url := range []string{"ws://" + clear, "wss://" + secure} {
		for _, compressed := range []bool{false, true} {
			t.Run(fmt.Sprintf("%.3s, compression %v", url, compressed), func(t *testing.T) {
				d := websocket.Dialer{
					TLSClientConfig: &tls.Config{ServerName: "a.test", InsecureSkipVerify: true}, Subprotocols: []string{"chat"},
					EnableCompression: compressed, WriteBufferSize: 1 << 10,
				}
				dial := func() *websocket.Conn {
					var c *websocket.Conn
					testnet.Wait(t, "the WebSocket", func() (ok bool) {
						var err error
						c, _, err = d.Dial(url+"/ws", http.Header{"Host": {"a.test"}})
						return err == nil
					})
					t.Cleanup(func() { c.Close() })
					c.SetReadDeadline(time.Now().Add(testnet.Patience))
					return c
				}
				c := dial()
				if c.Subprotocol() != "chat" {
					t.Errorf("the subprotocol is %q", c.Subprotocol())
				}
				for _, n := range []int{0, 1, 125, 126, 65535, 65536, 4 << 20} { // the larger ones in frames of 1 KiB
					for _, kind := range []int{websocket.TextMessage, websocket.BinaryMessage} {
						sent := bytes.Repeat([]byte("x"), n)
						w, err := c.NextWriter(kind)
						if err != nil {
							t.Fatal(err)
						}
						for rest := sent; len(rest) > 0; {
							k := min(len(rest), 777)
							w.Write(rest[:k])
							rest = rest[k:]
						}
						if err := w.Close(); err != nil {
							t.Fatal(err)
						}
						if got, b, err := c.ReadMessage(); err != nil || got != kind || !bytes.Equal(b, sent) {
							t.Fatalf("%d bytes of kind %d came back as %d of kind %d, %v", n, kind, len(b), got, err)
						}
					}
				}
				pongs := 0
				c.SetPongHandler(func(s string) error {
					if s == "from the client" {
						pongs++
					}
					return nil
				})
				c.WriteControl(websocket.PingMessage, []byte("from the client"), time.Now().Add(testnet.Patience))
				c.WriteMessage(websocket.TextMessage, []byte("ping"))
				if _, b, err := c.ReadMessage(); err != nil || string(b) != "pong from the node" || pongs != 1 {
					t.Errorf("got %q, %v and %d pongs", b, err, pongs)
				}
				c.WriteMessage(websocket.TextMessage, []byte("close"))
				if _, _, err := c.ReadMessage(); !websocket.IsCloseError(err, 4321) || err.(*websocket.CloseError).Text != "enough" {
					t.Errorf("the node's close: %v", err)
				}
				c = dial()
				c.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, "bye"), time.Now().Add(testnet.Patience))
				if _, _, err := c.ReadMessage(); !websocket.IsCloseError(err, websocket.CloseNormalClosure) {
					t.Errorf("the client's close: %v", err)
				}
			})
		}
	}
}
