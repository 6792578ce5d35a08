// SPDX-License-Identifier: Apache-2.0

package http3

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/quic-go/quic-go"
	xhttp3 "github.com/quic-go/quic-go/http3"
)

// lingerTime is how long a client has to leave by itself once the handler of its last request has returned and it was told GOAWAY:
// closing earlier could cost it the end of the answer, which may not have been written, or has to be sent again. Unlike TCP's
// end, QUIC's also takes from the client what has arrived and was not read yet, and a busy one may take seconds for that. Those that
// do as RFC 9114, section 5.2 says leave at once. Ours.
const lingerTime = 5 * time.Second

// conn is a client's connection.
type conn struct {
	s       *Server
	q       *quic.Conn
	http    *xhttp3.Server
	goodbye sync.WaitGroup // the goroutine of leave

	streams int // that the client may have at one time, as it was told

	mu       sync.Mutex // guards the fields below
	requests int
	last     int         // of requests; 0: the bound has not been reached
	active   int         // requests under way
	answered time.Time   // when there was none any more
	timer    *time.Timer // while there is none: when the connection leaves or is closed
	close    func()      // not nil: it was told GOAWAY; to be called to close it
	served   bool        // serve has ended it
}

func newConn(s *Server, q *quic.Conn) *conn {
	c := &conn{s: s, q: q, streams: s.config().MaxStreams}
	c.http = &xhttp3.Server{Handler: http.HandlerFunc(c.handle), MaxHeaderBytes: s.config().HeadBytes, ConnContext: withConn}
	c.mu.Lock() // expire may come at once
	defer c.mu.Unlock()
	c.timer = time.AfterFunc(s.config().HeadTimeout, c.expire) // for the first head
	return c
}

// serve serves the connection until it ends and all its handlers have returned.
func (c *conn) serve() {
	c.http.ServeQUICConn(c.q)                                                // quic-go has told the client what was wrong
	c.q.CloseWithError(quic.ApplicationErrorCode(xhttp3.ErrCodeNoError), "") // where leave was first
	c.mu.Lock()
	c.served = true
	c.timer.Stop()
	if c.close != nil {
		c.close()
	}
	c.mu.Unlock()
	c.goodbye.Wait()
}

// handle is quic-go's handler.
func (c *conn) handle(w http.ResponseWriter, r *http.Request) {
	if !c.begin() {
		panic(http.ErrAbortHandler) // the stream is reset
	}
	defer c.done()
	c.s.serve(w, r)
}

// begin counts a request. One above the bound that quic-go has taken before it said GOAWAY is served, but no more than could
// be on their way.
func (c *conn) begin() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.timer.Stop()
	c.active++
	c.requests++
	if c.last == 0 && c.requests >= c.s.config().MaxRequests {
		c.last = c.requests + c.streams // counted from here: the bound may have been lowered far below what was served
		c.leaveLocked(0)
	}
	if c.last > 0 && c.requests > c.last {
		c.active--
		c.q.CloseWithError(quic.ApplicationErrorCode(xhttp3.ErrCodeExcessiveLoad), "too many requests for one connection")
		return false
	}
	return true
}

// done is told of a request that was answered.
func (c *conn) done() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.active--; c.active > 0 || c.served {
		return
	}
	c.answered = time.Now()
	if c.close != nil {
		c.timer.Reset(c.s.linger)
		return
	}
	c.timer.Reset(c.s.config().IdleTimeout)
}

// expire is the timer's.
func (c *conn) expire() {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.active > 0 || c.served:
	case c.close != nil:
		c.close()
	default:
		c.leaveLocked(c.s.linger)
	}
}

// leave says GOAWAY, and closes the connection once it has been without a request for quiet.
func (c *conn) leave(quiet time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leaveLocked(quiet)
}

func (c *conn) leaveLocked(quiet time.Duration) {
	if c.served {
		return
	}
	if c.close == nil {
		ctx, cancel := context.WithCancel(context.Background())
		c.close = cancel
		c.goodbye.Go(func() { c.http.Shutdown(ctx) }) // says GOAWAY, and closes when ctx ends
	}
	if c.active == 0 {
		c.timer.Reset(max(quiet, c.s.linger-time.Since(c.answered)))
	}
}

// cut closes the connection at once, and returns how many requests that has cut.
func (c *conn) cut() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.q.CloseWithError(quic.ApplicationErrorCode(xhttp3.ErrCodeInternalError), "the edge ends")
	return c.active
}
