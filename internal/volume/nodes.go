// SPDX-License-Identifier: Apache-2.0

// Package volume moves many bytes through an edge, up and down, with a client of each protocol as others write them: curl,
// grpc-go, gorilla's WebSocket and quic-go. Its nodes count what they get and can be made to stop reading.
//
// It starts no edge and judges nothing: tests do. NewNodes' goroutines end with the test.
//
//	nodes := volume.NewNodes(t)
//	… an edge with nodes.Web as a pool of protocol http behind /, and nodes.GRPC as one of protocol grpc behind /volume/ …
//	for _, c := range volume.Clients(t, volume.Edge{Clear: "127.0.0.1:8080", Secure: "127.0.0.1:8443", Name: "a.test"}) {
//		got, err := c.Up(ctx, volume.Zeros(1<<30))
//		body, err := c.Down(ctx, 1<<30)
//	}
package volume

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/gorilla/websocket"
	"google.golang.org/grpc"
)

// pieceBytes is the size of a write and of a message. Ours: what programs that move much use.
const pieceBytes = 64 << 10

// Nodes are a node of HTTP/1.1 and WebSocket, and one of gRPC.
type Nodes struct {
	// Web and GRPC are their addresses, as IP:PORT.
	Web, GRPC string
	// Read and Sent count the bytes of bodies and messages since the start.
	Read, Sent atomic.Int64

	mu   sync.Mutex
	gate chan struct{} // closed where reading may go on
}

// NewNodes starts the nodes.
func NewNodes(t testing.TB) *Nodes {
	t.Helper()
	n := &Nodes{gate: make(chan struct{})}
	close(n.gate)
	var serving sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	listen := func() net.Listener {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		return ln
	}
	web := &http.Server{Handler: http.HandlerFunc(n.web), BaseContext: func(net.Listener) context.Context { return ctx }}
	webLn := listen()
	n.Web = webLn.Addr().String()
	serving.Go(func() { web.Serve(webLn) })
	g := grpc.NewServer(grpc.ForceServerCodec(raw{}), grpc.UnknownServiceHandler(n.grpc))
	grpcLn := listen()
	n.GRPC = grpcLn.Addr().String()
	serving.Go(func() { g.Serve(grpcLn) })
	t.Cleanup(func() {
		n.Go()
		cancel()
		web.Close()
		g.Stop()
		serving.Wait()
	})
	return n
}

// Hold makes the nodes read nothing until Go.
func (n *Nodes) Hold() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.gate = make(chan struct{})
}

// Go ends Hold. It may be called more than once.
func (n *Nodes) Go() {
	n.mu.Lock()
	defer n.mu.Unlock()
	select {
	case <-n.gate:
	default:
		close(n.gate)
	}
}

// await waits until reading may go on.
func (n *Nodes) await(ctx context.Context) {
	n.mu.Lock()
	gate := n.gate
	n.mu.Unlock()
	select {
	case <-gate:
	case <-ctx.Done():
	}
}

// sink reads all of r and returns how many bytes there were.
func (n *Nodes) sink(ctx context.Context, r io.Reader) (total int64, err error) {
	b := make([]byte, pieceBytes)
	for {
		n.await(ctx)
		k, err := r.Read(b)
		total += int64(k)
		n.Read.Add(int64(k))
		if err == io.EOF {
			return total, nil
		}
		if err != nil {
			return total, err
		}
	}
}

// web takes a POST's body and says how long it was, sends as many bytes as a GET's "bytes" says, and speaks WebSocket.
func (n *Nodes) web(w http.ResponseWriter, r *http.Request) {
	if websocket.IsWebSocketUpgrade(r) {
		n.webSocket(w, r)
		return
	}
	if r.Method != http.MethodGet {
		total, err := n.sink(r.Context(), r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		fmt.Fprint(w, total)
		return
	}
	left, err := strconv.ParseInt(r.FormValue("bytes"), 10, 64)
	if err != nil {
		left = 0
	}
	w.Header().Set("Content-Length", strconv.FormatInt(left, 10))
	for piece := make([]byte, pieceBytes); left > 0; {
		k, err := w.Write(piece[:min(left, pieceBytes)])
		n.Sent.Add(int64(k))
		if left -= int64(k); err != nil {
			return
		}
	}
}

// zeros is an endless reader.
type zeros struct{}

// Read implements io.Reader.
func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// Zeros returns a body of n bytes.
func Zeros(n int64) io.Reader { return io.LimitReader(zeros{}, n) }
