// SPDX-License-Identifier: Apache-2.0

package http1

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"meridian/proxy/exchange"
)

// drip writes s one byte at a time until that fails, with pauses of virtual time.
func drip(c net.Conn, s string, pause time.Duration) {
	for i := range s {
		if _, err := io.WriteString(c, s[i:i+1]); err != nil {
			return
		}
		time.Sleep(pause)
	}
}

// judge answers with the status of what is wrong with the body.
func judge(x *exchange.Exchange) {
	_, err := io.Copy(io.Discard, x.Body)
	var r *Refusal
	switch {
	case errors.As(err, &r):
	case err != nil:
		r = refuse(599, "%v", err)
	default:
		r = refuse(200, "whole")
	}
	x.Reply.WriteHead(&exchange.Head{Status: r.Status, Length: int64(len(r.Reason))})
	io.WriteString(x.Reply, r.Reason)
	x.Reply.End(nil)
}

func TestASlowBodyIsCutOff(t *testing.T) {
	for _, c := range []struct {
		name, head, body string
		pause            time.Duration
		rate             int
		want             string
		after            time.Duration
	}{
		{"a byte in five seconds", "Content-Length: 1000000", strings.Repeat("x", 1000), 5 * time.Second, 0, "HTTP/1.1 408 ", 20 * time.Second},
		{"chunks of one byte", "Transfer-Encoding: chunked", strings.Repeat("1\r\nx\r\n", 1000), time.Second, 0, "HTTP/1.1 408 ", 20 * time.Second},
		{"a chunk line without end", "Transfer-Encoding: chunked", "1;" + strings.Repeat("x", 200), time.Second, 0, "HTTP/1.1 408 ", 20 * time.Second},
		{"slow, where that may be", "Content-Length: 10", "0123456789", 30 * time.Second, -1, "HTTP/1.1 200 ", 270 * time.Second},
		{"a short body", "Content-Length: 10", "0123456789", time.Second, 0, "HTTP/1.1 200 ", 9 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, Config{Handler: judge, MinBodyRate: c.rate}, func(_ *Server, p *pipes) {
				conn := p.connect()
				defer conn.Close()
				began := time.Now()
				io.WriteString(conn, "POST / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n"+c.head+"\r\n\r\n")
				var sending sync.WaitGroup
				defer sending.Wait()
				sending.Go(func() { drip(conn, c.body, c.pause) })
				got, _ := io.ReadAll(conn)
				if took := time.Since(began); took != c.after || !strings.HasPrefix(string(got), c.want) || !strings.Contains(string(got), "Connection: close\r\n") {
					t.Errorf("after %s: %q; want %q after %s", took, got, c.want, c.after)
				}
				conn.Close()
			})
		})
	}
}

// TestABodyMayPauseOnceTheAnswerHasBegun is a conversation over one request.
func TestABodyMayPauseOnceTheAnswerHasBegun(t *testing.T) {
	handle := func(x *exchange.Exchange) {
		reading := make(chan error, 1)
		go func() {
			_, err := io.Copy(io.Discard, x.Body)
			reading <- err
		}()
		time.Sleep(time.Second) // the read waits by then
		x.Reply.WriteHead(&exchange.Head{Status: 200, Length: exchange.LengthUnknown})
		io.WriteString(x.Reply, "hello")
		x.Reply.Flush()
		fmt.Fprint(x.Reply, <-reading)
		x.Reply.End(nil)
	}
	inBubble(t, Config{Handler: handle, BodyTimeout: time.Hour}, func(_ *Server, p *pipes) {
		conn := p.connect()
		defer conn.Close()
		var sending sync.WaitGroup
		defer sending.Wait()
		io.WriteString(conn, "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 10\r\n\r\n")
		sending.Go(func() { drip(conn, "0123456789", 10*time.Minute) })
		got, _ := io.ReadAll(conn)
		if !strings.Contains(string(got), "hello") || !strings.Contains(string(got), "<nil>") {
			t.Errorf("got %q", got)
		}
		conn.Close()
	})
}

func TestAClientThatReadsNothingIsCutOff(t *testing.T) {
	failed := make(chan time.Duration, 1)
	handle := func(x *exchange.Exchange) {
		x.Reply.WriteHead(&exchange.Head{Status: 200, Length: 10 << 20})
		began, part := time.Now(), make([]byte, 32<<10)
		for {
			if _, err := x.Reply.Write(part); err != nil {
				failed <- time.Since(began)
				return
			}
		}
	}
	inBubble(t, Config{Handler: handle}, func(_ *Server, p *pipes) {
		conn := p.connect()
		defer conn.Close()
		io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
		var b [1]byte
		for range 100 { // a byte in five seconds: the deadline is not moved by that
			if _, err := conn.Read(b[:]); err != nil {
				break
			}
			time.Sleep(5 * time.Second)
		}
		if took := <-failed; took > 31*time.Second {
			t.Errorf("cut after %s, want 30s", took)
		}
	})
}

func TestAConnectionEndsAfterItsLastRequest(t *testing.T) {
	_, p := start(t, Config{Handler: echo, MaxRequests: 3})
	c := p.dial(t)
	go func() {
		for range 4 {
			if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"); err != nil {
				return
			}
		}
	}()
	got, _ := io.ReadAll(c)
	if n := strings.Count(string(got), "HTTP/1.1 200 "); n != 3 || strings.Count(string(got), "Connection: close\r\n") != 1 {
		t.Errorf("%d answers: %q", n, got)
	}
}
