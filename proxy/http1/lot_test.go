// SPDX-License-Identifier: Apache-2.0

//go:build linux

package http1

import (
	"context"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"meridian/internal/testnet"
	"meridian/proxy/exchange"
)

// serveTCP runs a server on loopback until the test ends, and returns its address.
func serveTCP(t testing.TB, c Config, http2 ...func(Handover)) (*Server, string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s, done := newServer(c, http2), make(chan error, 1)
	go func() { done <- s.Serve(ln) }()
	t.Cleanup(func() {
		ln.Close()
		<-done
		ctx, cancel := context.WithTimeout(context.Background(), testnet.Patience)
		defer cancel()
		if cut := s.Shutdown(ctx, time.Millisecond); cut > 0 {
			t.Errorf("%d connections had to be cut", cut)
		}
	})
	return s, ln.Addr().String()
}

// standing returns how many connections are parked.
func (l *lot) standing() (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.queues {
		for p := l.queues[i].first; p != nil; p = p.next {
			n++
		}
	}
	return n
}

func waitParked(t testing.TB, s *Server, n int) {
	t.Helper()
	testnet.Wait(t, fmt.Sprintf("%d connections to be parked", n), func() bool { return s.lot.standing() == n })
}

const askRoot = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"

func TestWaitingConnectionsHaveNoGoroutineAndAreServedAgain(t *testing.T) {
	const n = 200
	s, addr := serveTCP(t, Config{Handler: echo})
	before := runtime.NumGoroutine()
	clients := make([]*testnet.Conn, n)
	for i := range clients {
		clients[i] = testnet.Dial(t, addr)
	}
	for round := range 3 {
		if round > 0 {
			for i, c := range clients {
				c.Send(askRoot)
				if got, err := answers(c, 1, "GET"); err != nil || got[0] != `200 GET / host=a.test length=-2 body="" trailer=[]` {
					t.Fatalf("round %d, connection %d: %q, %v", round, i, got, err)
				}
			}
		}
		waitParked(t, s, n)
		testnet.Wait(t, "the goroutines to end", func() bool { return runtime.NumGoroutine() <= before+2 })
	}
}

func TestManyClientsOfWhichSomeAreParkedAreAllServed(t *testing.T) {
	s, addr := serveTCP(t, Config{Handler: echo})
	var wg sync.WaitGroup
	for i := range 32 {
		c := testnet.Dial(t, addr)
		wg.Go(func() {
			for r := range 60 {
				if (i+r)%8 == 0 {
					runtime.Gosched()
				}
				c.Send("POST /x HTTP/1.1\r\nHost: a.test\r\nContent-Length: 2\r\n\r\n")
				if r%10 == i%10 {
					time.Sleep(time.Duration(i) * time.Millisecond) // the pauses are what is tested: on both sides of parking
				}
				c.Send("ok")
				if got, err := answers(c, 1, "POST"); err != nil || got[0] != `200 POST /x host=a.test length=2 body="ok" trailer=[]` {
					t.Errorf("client %d, request %d: %q, %v", i, r, got, err)
					return
				}
			}
		})
	}
	wg.Wait()
	waitParked(t, s, 32)
}

func TestParkedConnectionsAreEndedWhenTheirTimeIsOver(t *testing.T) {
	s, addr := serveTCP(t, Config{Handler: echo, HeadTimeout: 150 * time.Millisecond, IdleTimeout: 300 * time.Millisecond})
	began := time.Now()
	silent, idle := testnet.Dial(t, addr), testnet.Dial(t, addr)
	idle.Send(askRoot)
	if _, err := answers(idle, 1, "GET"); err != nil {
		t.Fatal(err)
	}
	if got, clean := silent.ReadAll(); got != "" || !clean || time.Since(began) < 150*time.Millisecond {
		t.Errorf("the one that sent nothing got %q after %s", got, time.Since(began))
	}
	if got, clean := idle.ReadAll(); got != "" || !clean || time.Since(began) < 300*time.Millisecond {
		t.Errorf("the idle one got %q after %s", got, time.Since(began))
	}
	testnet.Wait(t, "the connections to be forgotten", func() bool { return s.Stats().Open == 0 })
}

func TestAParkedConnectionThatTheClientClosesIsForgotten(t *testing.T) {
	s, addr := serveTCP(t, Config{Handler: echo})
	for _, end := range []func(*testnet.Conn){func(c *testnet.Conn) { c.Close() }, (*testnet.Conn).Reset} {
		c := testnet.Dial(t, addr)
		waitParked(t, s, 1)
		end(c)
		testnet.Wait(t, "the connection to be forgotten", func() bool { return s.Stats().Open == 0 })
	}
}

func TestShutdownEndsParkedConnectionsOnceTheyAreQuiet(t *testing.T) {
	s, addr := serveTCP(t, Config{Handler: echo})
	quiet, late := testnet.Dial(t, addr), testnet.Dial(t, addr)
	waitParked(t, s, 2)
	done := make(chan int)
	go func() { done <- s.Shutdown(context.Background(), 200*time.Millisecond) }()
	testnet.Wait(t, "the shutdown to begin", s.closing.Load)
	late.Send(askRoot) // was on its way
	got, clean := late.ReadAll()
	if want := "Connection: close\r\n\r\nGET / "; !clean || !strings.Contains(got, want) {
		t.Errorf("the late one got %q", got)
	}
	if got, clean := quiet.ReadAll(); got != "" || !clean {
		t.Errorf("the quiet one got %q", got)
	}
	if cut := <-done; cut != 0 {
		t.Errorf("%d were cut", cut)
	}
}

func TestShutdownCutsParkedConnectionsAtItsDeadline(t *testing.T) {
	s, addr := serveTCP(t, Config{Handler: func(x *exchange.Exchange) { io.ReadAll(x.Body) }})
	parked, busy := testnet.Dial(t, addr), testnet.Dial(t, addr)
	waitParked(t, s, 2)
	busy.Send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\n")
	waitParked(t, s, 1)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if cut := s.Shutdown(ctx, time.Hour); cut != 2 {
		t.Errorf("%d were cut, want 2", cut)
	}
	parked.ReadAll()
	busy.ReadAll()
}

func TestABusyConnectionIsWaitedForInItsGoroutine(t *testing.T) {
	s, addr := serveTCP(t, Config{Handler: echo})
	c := testnet.Dial(t, addr)
	for range 20 {
		c.Send(askRoot)
		if _, err := answers(c, 1, "GET"); err != nil {
			t.Fatal(err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for p := range s.conns {
		p.mu.Lock()
		if !p.hot {
			t.Error("it is not taken for busy")
		}
		p.mu.Unlock()
	}
}

// BenchmarkParkedRequest measures requests that come to parked connections.
func BenchmarkParkedRequest(b *testing.B) {
	const n = 64
	s, addr := serveTCP(b, Config{Handler: echo})
	clients := make([]*testnet.Conn, n)
	for i := range clients {
		clients[i] = testnet.Dial(b, addr)
	}
	waitParked(b, s, n)
	buf := make([]byte, 4096)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		c := clients[i%n]
		c.Send(askRoot)
		if _, err := c.Read(buf); err != nil {
			b.Fatal(err)
		}
	}
}

func TestABodyThatComesAfterThePatienceForItsHeadIsTaken(t *testing.T) {
	_, addr := serveTCP(t, Config{Handler: func(x *exchange.Exchange) {
		time.Sleep(2 * coldPatience) // the deadline of waiting for the request is over
		if n, err := x.Body.ReadArrived(make([]byte, 8)); n == 0 && err != nil {
			t.Errorf("ReadArrived: %v", err)
		}
		echo(x)
	}})
	c := testnet.Dial(t, addr)
	c.Send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 2\r\n\r\n")
	time.Sleep(4 * coldPatience)
	c.Send("ok")
	if got, err := answers(c, 1, "POST"); err != nil || !strings.HasPrefix(got[0], "200 ") {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestAClientThatHasHalfClosedIsAnsweredAndLetGo(t *testing.T) {
	s, addr := serveTCP(t, Config{Handler: echo})
	const want = `200 GET / host=a.test length=-2 body="" trailer=[]`
	for name, end := range map[string]func(*testnet.Conn){
		"with the first request": func(c *testnet.Conn) { c.Send(askRoot); c.CloseWrite() },
		"with a later request": func(c *testnet.Conn) {
			c.Send(askRoot)
			if got, err := answers(c, 1, "GET"); err != nil || got[0] != want {
				t.Errorf("before: %q, %v", got, err)
			}
			c.Send(askRoot)
			c.CloseWrite()
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := testnet.Dial(t, addr)
			end(c)
			if got, err := answers(c, 1, "GET"); err != nil || got[0] != want {
				t.Errorf("%q, %v", got, err)
			}
			if got, clean := c.ReadAll(); got != "" || !clean {
				t.Errorf("then %q, clean %v", got, clean)
			}
		})
	}
	testnet.Wait(t, "the connections to be forgotten", func() bool { return s.Stats().Open == 0 })
}

// TestABusyConnectionsLentDeadlineEndsNoWait has a client come back at intervals around that after which the deadline of an
// earlier wait has passed.
func TestABusyConnectionsLentDeadlineEndsNoWait(t *testing.T) {
	s, addr := serveTCP(t, Config{Handler: echo})
	c := testnet.Dial(t, addr)
	for i := range 12 {
		c.Send(askRoot)
		if _, err := answers(c, 1, "GET"); err != nil {
			t.Fatalf("request %d: %v", i, err)
		}
		if i >= 4 { // busy by now
			<-time.After(time.Duration(i%4) * hotPatience / 3)
		}
	}
	waitParked(t, s, 1)
	c.Send(askRoot)
	if _, err := answers(c, 1, "GET"); err != nil {
		t.Fatalf("parked: %v", err)
	}
}

func TestABusyConnectionThatWaitsByALentDeadlineLeavesAtShutdown(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s, done := NewServer(Config{Handler: echo}), make(chan error, 1)
	go func() { done <- s.Serve(ln) }()
	c := testnet.Dial(t, ln.Addr().String())
	for range 4 {
		c.Send(askRoot)
		if _, err := answers(c, 1, "GET"); err != nil {
			t.Fatal(err)
		}
	}
	ln.Close()
	<-done
	ctx, cancel := context.WithTimeout(context.Background(), testnet.Patience)
	defer cancel()
	if cut := s.Shutdown(ctx, time.Millisecond); cut > 0 {
		t.Errorf("%d connections had to be cut", cut)
	}
	if got, clean := c.ReadAll(); got != "" || !clean {
		t.Errorf("the client got %q, clean %v", got, clean)
	}
}
