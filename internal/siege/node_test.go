// SPDX-License-Identifier: Apache-2.0

//go:build linux

package siege

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
)

// bigBytes is the size of /big.
const bigBytes = 10 << 20

// small is the answer at all other paths.
var small = strings.Repeat("x", 100)

// node is a node that serves well.
type node struct {
	addr string
	held chan struct{} // closed: requests for /hold are answered
}

// startNode starts a node that ends with the test.
func startNode(t *testing.T) *node {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := &node{ln.Addr().String(), make(chan struct{})}
	srv := &http.Server{Handler: n, ConnContext: func(ctx context.Context, c net.Conn) context.Context {
		c.(*net.TCPConn).SetWriteBuffer(16 << 10) // thousands of slow answers must not fill the machine from this side
		return ctx
	}}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }()
	t.Cleanup(func() {
		srv.Close()
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	return n
}

var piece = make([]byte, 16<<10)

// ServeHTTP implements http.Handler.
func (n *node) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	io.Copy(io.Discard, r.Body)
	if r.URL.Path == "/hold" {
		select {
		case <-n.held:
		case <-r.Context().Done():
		}
	}
	if r.URL.Path != "/big" {
		io.WriteString(w, small)
		return
	}
	w.Header().Set("Content-Length", strconv.Itoa(bigBytes))
	for n := 0; n < bigBytes; n += len(piece) {
		if _, err := w.Write(piece); err != nil {
			return
		}
	}
}
