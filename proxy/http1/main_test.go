// SPDX-License-Identifier: Apache-2.0

package http1

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"go.uber.org/goleak"

	"meridian/internal/testnet"
	"meridian/proxy/exchange"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pipes is a listener whose connections are net.Pipe's: what one Write sends is what one Read gets.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}
func (p *pipes) Close() error   { close(p.done); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

func (p *pipes) dial(t testing.TB) net.Conn {
	c, s := net.Pipe()
	c.SetDeadline(time.Now().Add(testnet.Patience))
	p.conns <- s
	t.Cleanup(func() { c.Close() })
	return c
}

// newServer returns a server that hands HTTP/2 to http2, if that is given.
func newServer(c Config, http2 []func(Handover)) *Server {
	s := NewServer(c)
	for _, f := range http2 {
		s.OnHTTP2(f)
	}
	return s
}

// start runs a server on pipes until the test ends.
func start(t testing.TB, c Config, http2 ...func(Handover)) (*Server, *pipes) {
	s, p := newServer(c, http2), &pipes{make(chan net.Conn), make(chan struct{})}
	done := make(chan error, 1)
	go func() { done <- s.Serve(p) }()
	t.Cleanup(func() {
		p.Close()
		<-done
		ctx, cancel := context.WithTimeout(context.Background(), testnet.Patience)
		defer cancel()
		if cut := s.Shutdown(ctx, time.Millisecond); cut > 0 {
			t.Errorf("%d connections had to be cut", cut)
		}
	})
	return s, p
}

// echo answers with what it was asked.
func echo(x *exchange.Exchange) {
	body, err := io.ReadAll(x.Body)
	if err != nil {
		x.Reply.Abort()
		return
	}
	answer := fmt.Sprintf("%s %s host=%s length=%d body=%q trailer=%v", x.Method, x.Target, x.Host, x.Length, body, x.Body.Trailer())
	x.Reply.WriteHead(&exchange.Head{Status: 200, Length: int64(len(answer))})
	io.WriteString(x.Reply, answer)
	x.Reply.End(nil)
}

// answers reads n answers.
func answers(c net.Conn, n int, method string) (out []string, err error) {
	b := bufio.NewReader(c)
	for range n {
		resp, err := http.ReadResponse(b, &http.Request{Method: method})
		if err != nil {
			return out, err
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			return out, err
		}
		out = append(out, fmt.Sprintf("%d %s", resp.StatusCode, body))
	}
	return out, nil
}
