// SPDX-License-Identifier: Apache-2.0

package upstream

import (
	"time"

	"meridian/proxy/exchange"
	"meridian/proxy/http1"
	"meridian/proxy/socket"
)

// Request is a request as it goes to a node.
type Request struct {
	http1.Outgoing
	// Body is what is at hand of the body. Whole says that it is all of it; Trailer is then sent behind it.
	Body    []byte
	Whole   bool
	Trailer exchange.Header
}

// Body reads an answer's body.
type Body interface {
	// Read waits for the next bytes. io.EOF may come with the last ones; any other error says that the answer is not whole.
	Read(p []byte) (int, error)
	// ReadArrived is Read without waiting: it returns 0 and nil where nothing more has arrived.
	ReadArrived(p []byte) (int, error)
	// Trailer returns the trailer fields, valid once Read has returned io.EOF.
	Trailer() exchange.Header
}

// Call is one exchange with a node, over whatever version of HTTP: Conn, and Call of package h2. One goroutine reads,
// another may write; Close may be called by any.
type Call interface {
	// Reused reports whether the connection has carried another request before, and a new one may be better.
	Reused() bool
	// Begin prepares for an answer, whose head must come within firstByte of the request's end. If the request is still
	// being sent, RequestSent says when that is; ReadHead may be called before.
	Begin(firstByte time.Duration, sending bool)
	RequestSent()
	// Send sends the head and what is at hand of the body within the time. n is 0 where nothing can have reached the node; an
	// ErrStale says that another connection may do. A whole request may come back only with its answer, so Close has to be
	// able to end it. scratch is for its use.
	Send(q *Request, scratch *[]byte, timeout time.Duration) (n int, err error)
	// SendBody sends more of the body, and EndBody its end, within the time.
	SendBody(b []byte, timeout time.Duration) error
	EndBody(trailer exchange.Header, timeout time.Duration) error
	// ReadHead reads the head of the final answer. It is valid until Release or Close. started says whether the node has sent
	// any byte of an answer. idle bounds the silence within the body.
	ReadHead(q http1.Sent, idle time.Duration) (resp *http1.Response, started bool, err error)
	Body() Body
	// Release ends an exchange whose answer was read; the connection may then be unused for that time. Zero: the default.
	Release(idle time.Duration)
	// Close ends it at once: whoever reads or writes gets an error.
	Close()
}

var _ Call = (*Conn)(nil)

// copyBelow is up to which length a body is copied behind its head, which costs less than to send two pieces. Ours.
const copyBelow = 4 << 10

// Send implements Call: one write for head and body.
func (c *Conn) Send(q *Request, scratch *[]byte, timeout time.Duration) (n int, err error) {
	b := http1.AppendRequest((*scratch)[:0], &q.Outgoing)
	c.chunked = q.Length == exchange.LengthUnknown
	var body []byte
	switch {
	case c.chunked:
		b = http1.AppendChunk(b, q.Body)
		if q.Whole {
			b = http1.AppendLastChunk(b, q.Trailer)
		}
	case len(q.Body) < copyBelow:
		b = append(b, q.Body...)
	default:
		body = q.Body
	}
	*scratch = b
	if q.Whole && c.sock.CanAsk() {
		return c.ask(b, body, timeout)
	}
	if c.reused && !c.quiet() {
		return 0, c.stale()
	}
	return c.writeBoth(b, body, timeout)
}

// ask sends a whole request and waits for the answer, or for why there is none, of which ReadHead tells.
func (c *Conn) ask(head, body []byte, timeout time.Duration) (int, error) {
	n, early, err := c.sock.Ask(head, body)
	switch {
	case err != nil:
		c.partial = true
		return n, err
	case early && c.reused:
		return 0, c.stale()
	case n == len(head)+len(body):
		return n, nil
	}
	// The kernel took only so much; nothing, if a new connection begins with what may even be an answer.
	head, body = socket.Cut(head, body, n)
	more, err := c.writeBoth(head, body, timeout)
	return n + more, err
}

func (c *Conn) stale() error {
	c.pool.stale.Add(1)
	return ErrStale
}

// SendBody implements Call.
func (c *Conn) SendBody(b []byte, timeout time.Duration) error {
	if c.chunked {
		c.chunk = http1.AppendChunk(c.chunk[:0], b)
		b = c.chunk
	}
	_, err := c.Write(b, timeout)
	return err
}

// EndBody implements Call.
func (c *Conn) EndBody(trailer exchange.Header, timeout time.Duration) error {
	if !c.chunked {
		return nil
	}
	_, err := c.Write(http1.AppendLastChunk(c.chunk[:0], trailer), timeout)
	c.chunk = nil // a connection that waits owns no buffer
	return err
}
