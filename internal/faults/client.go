// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"
)

// clients are the connections of clients that never retry: a request gets one that is unused, or a new one, and what comes of it is
// final.
type clients struct {
	addr    string
	timeout time.Duration

	mu     sync.Mutex // guards the fields below
	unused []*conn
}

type conn struct {
	net.Conn
	r *bufio.Reader
}

// verdict is how a request ended for its client.
type verdict uint8

const (
	unbegun   verdict = iota // never sent: the harness itself was too slow
	well                     // its own answer, whole
	refused                  // 503 with Retry-After: nobody has executed it
	gateway                  // another 5xx
	broken                   // no answer, or one that breaks off visibly
	timedOut                 // nothing within the client's patience
	pretended                // an answer that is not whole or another's, and looks whole
	cancelled                // the harness ended
)

var verdicts = [...]string{"not sent", "well", "503 with Retry-After", "5xx", "broken off", "timed out", "cut but seemingly whole", "cancelled"}

func (v verdict) String() string { return verdicts[v] }

// ask makes request id and says how it ended, and the status of its answer if there was one.
func (c *clients) ask(ctx context.Context, id uint64, post bool) (verdict, int) {
	nc, err := c.take(ctx)
	if err != nil {
		return broken, 0
	}
	nc.SetDeadline(time.Now().Add(c.timeout))
	v, status, keep := nc.exchange(id, post)
	if keep {
		c.give(nc)
	} else {
		nc.Close()
	}
	return v, status
}

func (c *clients) take(ctx context.Context) (*conn, error) {
	c.mu.Lock()
	if n := len(c.unused); n > 0 {
		nc := c.unused[n-1]
		c.unused = c.unused[:n-1]
		c.mu.Unlock()
		return nc, nil
	}
	c.mu.Unlock()
	d := net.Dialer{Timeout: c.timeout}
	nc, err := d.DialContext(ctx, "tcp", c.addr)
	if err != nil {
		return nil, err
	}
	return &conn{nc, bufio.NewReader(nc)}, nil
}

func (c *clients) give(nc *conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.unused = append(c.unused, nc)
}

// close closes the unused connections.
func (c *clients) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, nc := range c.unused {
		nc.Close()
	}
	c.unused = nil
}

// exchange sends the request and reads the answer. keep says that the connection can be used again.
func (c *conn) exchange(id uint64, post bool) (v verdict, status int, keep bool) {
	b := make([]byte, 0, 160)
	if post {
		body := bodyOf(id)
		b = fmt.Appendf(b, "POST /r/%d HTTP/1.1\r\nHost: a.test\r\nContent-Length: %d\r\n\r\n%s", id, len(body), body)
	} else {
		b = fmt.Appendf(b, "GET /r/%d HTTP/1.1\r\nHost: a.test\r\n\r\n", id)
	}
	if _, err := c.Write(b); err != nil {
		return failed(err), 0, false
	}
	resp, err := http.ReadResponse(c.r, nil)
	if err != nil {
		return failed(err), 0, false
	}
	got, err := io.ReadAll(io.LimitReader(resp.Body, 2<<20))
	resp.Body.Close()
	switch {
	case err != nil:
		return failed(err), resp.StatusCode, false
	case resp.StatusCode == 200 && string(got) == bodyOf(id):
		v = well
	case resp.StatusCode == http.StatusServiceUnavailable && retryAfter(resp) > 0:
		v = refused
	case resp.StatusCode >= 500:
		v = gateway
	default:
		v = pretended
	}
	return v, resp.StatusCode, !resp.Close
}

func retryAfter(r *http.Response) int {
	n, _ := strconv.Atoi(r.Header.Get("Retry-After"))
	return n
}

func failed(err error) verdict {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return timedOut
	}
	return broken
}
