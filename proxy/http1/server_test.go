// SPDX-License-Identifier: Apache-2.0

package http1

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"meridian/proxy/exchange"
)

// inBubble runs f with a server on pipes in virtual time.
func inBubble(t *testing.T, c Config, f func(s *Server, p *pipes)) {
	synctest.Test(t, func(t *testing.T) {
		s, p := NewServer(c), &pipes{make(chan net.Conn), make(chan struct{})}
		done := make(chan error, 1)
		go func() { done <- s.Serve(p) }()
		f(s, p)
		p.Close()
		<-done
		s.Shutdown(context.Background(), time.Millisecond)
	})
}

// connect is pipes.dial without a deadline, which would be a timer of the bubble.
func (p *pipes) connect() net.Conn {
	c, s := net.Pipe()
	p.conns <- s
	return c
}

func TestTimeoutsEndConnectionsThatBringNothing(t *testing.T) {
	for _, c := range []struct {
		name, send string
		after      time.Duration
		want       string
	}{
		{"nothing at all", "", 10 * time.Second, ""},
		{"half a head", "GET / HTTP/1.1\r\nHost: a", 10 * time.Second, "HTTP/1.1 408 "},
		{"no second request", "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n", time.Minute, "HTTP/1.1 200 "},
		{"half a body", "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nab", 20 * time.Second, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, Config{Handler: echo}, func(_ *Server, p *pipes) {
				conn := p.connect()
				defer conn.Close()
				began := time.Now()
				if c.send != "" {
					io.WriteString(conn, c.send)
				}
				got, _ := io.ReadAll(conn)
				if took := time.Since(began); took != c.after || !strings.HasPrefix(string(got), c.want) || c.want == "" && len(got) > 0 {
					t.Errorf("after %s: %q, want %q after %s", took, got, c.want, c.after)
				}
			})
		})
	}
}

func TestASlowHeadIsBoundedAsAWhole(t *testing.T) {
	inBubble(t, Config{Handler: echo}, func(_ *Server, p *pipes) {
		conn := p.connect()
		defer conn.Close()
		began := time.Now()
		var sending sync.WaitGroup
		defer sending.Wait()
		sending.Go(func() {
			for {
				if _, err := io.WriteString(conn, "E"); err != nil {
					return
				}
				time.Sleep(time.Second)
			}
		})
		got, _ := io.ReadAll(conn)
		if took := time.Since(began); took < 10*time.Second || took > 11*time.Second || !strings.HasPrefix(string(got), "HTTP/1.1 408 ") {
			t.Errorf("after %s: %q", took, got)
		}
		conn.Close()
	})
}

func TestAPanicCostsOneRequest(t *testing.T) {
	var told atomic.Value
	_, p := start(t, Config{
		Handler: func(x *exchange.Exchange) {
			if x.Path == "/panic" {
				panic("on purpose")
			}
			echo(x)
		},
		Panicked: func(v any, stack []byte) { told.Store(v) },
	})
	c := p.dial(t)
	go io.WriteString(c, "GET /panic HTTP/1.1\r\nHost: a.test\r\n\r\n")
	if got, _ := io.ReadAll(c); !strings.HasPrefix(string(got), "HTTP/1.1 500 ") || told.Load() != "on purpose" {
		t.Errorf("got %q, told %v", got, told.Load())
	}
	c = p.dial(t)
	go io.WriteString(c, canary)
	if got, err := answers(c, 1, "GET"); err != nil || !strings.HasPrefix(got[0], "200 ") {
		t.Errorf("the next got %q, %v", got, err)
	}
}

func TestAnAnswerThatIsNotEndedIsBrokenOff(t *testing.T) {
	_, p := start(t, Config{Handler: func(x *exchange.Exchange) {
		x.Reply.WriteHead(&exchange.Head{Status: 200, Length: exchange.LengthUnknown})
		io.WriteString(x.Reply, "half")
		x.Reply.Flush()
	}})
	c := p.dial(t)
	go io.WriteString(c, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(resp.Body); string(got) != "half" || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestAnAnswerIsAsLongAsItsHeadSays(t *testing.T) {
	var short, long error
	done := make(chan struct{}, 2)
	_, p := start(t, Config{Handler: func(x *exchange.Exchange) {
		defer func() { done <- struct{}{} }()
		x.Reply.WriteHead(&exchange.Head{Status: 200, Length: 4})
		if x.Path == "/long" {
			_, long = io.WriteString(x.Reply, "12345")
			return
		}
		io.WriteString(x.Reply, "123")
		short = x.Reply.End(nil)
	}})
	for _, path := range []string{"/long", "/short"} {
		c := p.dial(t)
		go io.WriteString(c, "GET "+path+" HTTP/1.1\r\nHost: a.test\r\n\r\n")
		if got, _ := io.ReadAll(c); strings.HasSuffix(string(got), "\r\n\r\n1234") {
			t.Errorf("%s: got %q", path, got)
		}
		<-done
	}
	if short == nil || long == nil {
		t.Errorf("too short: %v, too long: %v; want errors", short, long)
	}
}

// failing is a listener that fails some times, then is closed.
type failing struct {
	net.Listener
	left int
}

func (f *failing) Addr() net.Addr { return &net.TCPAddr{} }

func (f *failing) Accept() (net.Conn, error) {
	if f.left--; f.left < 0 {
		return nil, net.ErrClosed
	}
	return nil, errors.New("accept: too many open files")
}

func TestAcceptingGoesOnAfterFailuresWithPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		said := 0
		s := NewServer(Config{Handler: echo})
		s.OnAcceptFails(func(_ net.Listener, err error) {
			if said++; err == nil {
				t.Error("told that it goes on again")
			}
		})
		began := time.Now()
		if err := s.Serve(&failing{left: 10}); !errors.Is(err, net.ErrClosed) {
			t.Errorf("got %v", err)
		}
		// 5, 10, 20 … 640 ms, then 1 s twice
		if took, want := time.Since(began), 1275*time.Millisecond+2*time.Second; took != want || s.Stats().AcceptErrors != 10 {
			t.Errorf("took %s with %d errors, want %s", took, s.Stats().AcceptErrors, want)
		}
		if said != 1 {
			t.Errorf("told %d times; want once", said)
		}
	})
}
