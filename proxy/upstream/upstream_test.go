// SPDX-License-Identifier: Apache-2.0

package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"meridian/internal/testnet"
	"meridian/proxy/exchange"
	"meridian/proxy/http1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pool returns a pool whose Run ends with the test.
func pool(t *testing.T, c Config) *Pool {
	p := NewPool(c)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Run returned %v", err)
		}
		if got := p.Stats().Idle; got != 0 {
			t.Errorf("%d connections are left", got)
		}
	})
	return p
}

// ok answers every request on a connection.
func ok(c *testnet.Conn) {
	for c.ReadUntil("\r\n\r\n") != "" {
		c.Send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	}
}

// send sends a request on c.
func send(c *Conn) (int, error) {
	var scratch []byte
	q := Request{Outgoing: http1.Outgoing{Method: "GET", Target: "/", Host: "n", Length: exchange.LengthNone}, Whole: true}
	return c.Send(&q, &scratch, testnet.Patience)
}

// ask sends a request on c and reads the answer whole.
func ask(t *testing.T, c *Conn) {
	t.Helper()
	c.Begin(testnet.Patience, false)
	if n, err := send(c); n == 0 || err != nil {
		t.Fatal(n, err)
	}
	resp, started, err := c.ReadHead(http1.Sent{Method: "GET"}, testnet.Patience)
	if err != nil || !started || resp.Status != 200 {
		t.Fatalf("got %+v, %v, %v", resp, started, err)
	}
	if b, err := io.ReadAll(c.Body()); string(b) != "ok" || err != nil {
		t.Fatalf("got %q, %v", b, err)
	}
}

func get(t *testing.T, p *Pool, addr string) *Conn {
	t.Helper()
	c, err := p.Get(t.Context(), addr, testnet.Patience)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestTheConnectionUsedLastIsUsedNext(t *testing.T) {
	n := testnet.Listen(t, ok)
	p := pool(t, Config{})
	a, b := get(t, p, n.Addr), get(t, p, n.Addr)
	ask(t, a)
	ask(t, b)
	a.Release(0)
	b.Release(0)
	if c := get(t, p, n.Addr); c != b || !c.Reused() {
		t.Error("it is not the one that was released last")
	} else {
		ask(t, c)
		c.Release(0)
	}
	if s := p.Stats(); s.Dialed != 2 || s.Reused != 1 || s.Idle != 2 {
		t.Errorf("got %+v", s)
	}
}

func TestAConnectionThatTheNodeClosedOrWroteToIsNotUsed(t *testing.T) {
	for name, spoil := range map[string]func(*testnet.Conn){
		"closed": func(c *testnet.Conn) { c.Close() }, "reset": (*testnet.Conn).Reset,
		"wrote": func(c *testnet.Conn) {
			c.Send("HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")
			c.ReadAll()
		},
	} {
		t.Run(name, func(t *testing.T) {
			spoilt := make(chan struct{})
			n := testnet.Listen(t, func(c *testnet.Conn) {
				c.ReadUntil("\r\n\r\n")
				c.Send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
				<-spoilt
				spoil(c)
			})
			p := pool(t, Config{})
			c := get(t, p, n.Addr)
			ask(t, c)
			c.Release(0)
			close(spoilt)
			testnet.Wait(t, "the fault to arrive", func() bool { return !c.quiet() })
			same := get(t, p, n.Addr)
			sent, err := send(same)
			if same != c || sent != 0 || !errors.Is(err, ErrStale) || p.Stats().Stale != 1 {
				t.Errorf("the connection was used again: %d, %v, %+v", sent, err, p.Stats())
			}
			same.Close()
		})
	}
}

// TestAConnectionWithHalfARequestOnItIsNotKept has a node answer without reading: it would take what is sent next for the rest of
// the body.
func TestAConnectionWithHalfARequestOnItIsNotKept(t *testing.T) {
	n := testnet.Listen(t, func(c *testnet.Conn) {
		c.Send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		c.ReadUntil("never")
	})
	for name, whole := range map[string]bool{"whole": true, "not whole": false} {
		p := pool(t, Config{})
		c := get(t, p, n.Addr)
		c.nc.(*net.TCPConn).SetWriteBuffer(4 << 10)
		body := make([]byte, 64<<20) // more than all buffers on the way
		q := Request{Outgoing: http1.Outgoing{Method: "POST", Target: "/", Host: "n", Length: int64(len(body)) + 1}, Body: body, Whole: whole}
		var scratch []byte
		c.Begin(testnet.Patience, !whole)
		if sent, err := c.Send(&q, &scratch, 200*time.Millisecond); sent == 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: sent %d, %v", name, sent, err)
		}
		if resp, _, err := c.ReadHead(http1.Sent{Method: "POST"}, testnet.Patience); err != nil || resp.Status != 200 {
			t.Fatalf("%s: got %+v, %v", name, resp, err)
		}
		if b, err := io.ReadAll(c.Body()); string(b) != "ok" || err != nil {
			t.Fatalf("%s: got %q, %v", name, b, err)
		}
		c.Release(0)
		if got := p.Stats().Idle; got != 0 {
			t.Errorf("%s: %d connections are kept", name, got)
		}
	}
}

func TestIdleConnectionsAreClosedInTime(t *testing.T) {
	n := testnet.Listen(t, ok)
	p := pool(t, Config{IdleTimeout: 20 * time.Millisecond})
	c := get(t, p, n.Addr)
	ask(t, c)
	c.Release(0)
	testnet.Wait(t, "the connection to be closed", func() bool {
		if p.Stats().Idle > 0 {
			return false
		}
		_, err := c.Write([]byte("x"), time.Second)
		return errors.Is(err, net.ErrClosed)
	})
}

func TestNoMoreConnectionsAreKeptThanAllowed(t *testing.T) {
	n := testnet.Listen(t, ok)
	p := pool(t, Config{MaxIdle: 2})
	var conns []*Conn
	for range 4 {
		c := get(t, p, n.Addr)
		ask(t, c)
		conns = append(conns, c)
	}
	for _, c := range conns {
		c.Release(0)
	}
	if got := p.Stats().Idle; got != 2 {
		t.Errorf("%d are kept", got)
	}
}

func TestTheTimeForTheAnswerBeginsWhenTheRequestIsSent(t *testing.T) {
	n := testnet.Listen(t, func(c *testnet.Conn) { c.ReadAll() })
	p := pool(t, Config{})
	c := get(t, p, n.Addr)
	defer c.Close()
	c.Begin(time.Millisecond, true)
	got := make(chan error, 1)
	go func() { _, _, err := c.ReadHead(http1.Sent{Method: "POST"}, time.Second); got <- err }()
	select {
	case err := <-got:
		t.Fatalf("it gave up while the request was being sent: %v", err)
	case <-time.After(30 * time.Millisecond):
	}
	c.RequestSent()
	if err := <-got; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestAFailedDialSaysWhetherItIsThisMachinesFault(t *testing.T) {
	p := pool(t, Config{})
	_, err := p.Get(t.Context(), testnet.Unused(t), testnet.Patience)
	if err == nil || Local(err) {
		t.Errorf("a refused connection: %v, local %v", err, Local(err))
	}
	if !Local(fmt.Errorf("dial: %w", os.NewSyscallError("socket", syscall.EMFILE))) {
		t.Error("no more file descriptors, and it is not this machine's fault")
	}
}

func BenchmarkGetAndRelease(b *testing.B) {
	n := testnet.Listen(b, func(c *testnet.Conn) { c.ReadAll() })
	p := NewPool(Config{})
	c, err := p.Get(context.Background(), n.Addr, testnet.Patience)
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	p.put(c)
	b.ReportAllocs()
	for b.Loop() {
		c.until = time.Now().Add(time.Minute)
		if c, err = p.Get(context.Background(), n.Addr, testnet.Patience); err != nil || !c.Reused() {
			b.Fatal(err)
		}
		p.put(c)
	}
}

func TestAnUnusedConnectionHasNeitherGoroutineNorStringsNorBuffer(t *testing.T) {
	p := pool(t, Config{IdleTimeout: testnet.Patience})
	n := testnet.Listen(t, ok)
	c := get(t, p, n.Addr)
	ask(t, c) // now the node has its goroutine
	before := runtime.NumGoroutine()
	ask(t, c)
	c.Release(0)
	if c.resp.Header != nil || len(c.r.Buffered()) > 0 || runtime.NumGoroutine() > before {
		t.Errorf("it keeps %v, %q, and there are %d goroutines instead of %d", c.resp.Header, c.r.Buffered(), runtime.NumGoroutine(), before)
	}
	if again := get(t, p, n.Addr); again != c || !again.Reused() {
		t.Error("it was not used again")
	} else {
		ask(t, again)
		again.Release(0)
	}
}
