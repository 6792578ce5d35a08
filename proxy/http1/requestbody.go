// SPDX-License-Identifier: Apache-2.0

package http1

import (
	"errors"
	"io"
	"time"

	"meridian/proxy/exchange"
)

var errStopped = errors.New("the request's body is not read any further")

// past is a deadline that makes waiting reads and writes return.
var past = time.Unix(1, 0)

var _ exchange.Waiter = (*requestBody)(nil)

// requestBody is a conn as exchange.Body.
type requestBody conn

// Read implements exchange.Body.
func (p *requestBody) Read(b []byte) (int, error) {
	p.bodyTouched.Store(true)
	n, err := p.msg.Read(b)
	return n, p.note(n, err)
}

// ReadArrived implements exchange.Body.
func (p *requestBody) ReadArrived(b []byte) (int, error) {
	p.bodyTouched.Store(true)
	n, err := p.msg.ReadArrived(b)
	return n, p.note(n, err)
}

// CanAwait implements exchange.Waiter.
func (p *requestBody) CanAwait() bool { return p.msg.CanAwait() }

// Await implements exchange.Waiter.
func (p *requestBody) Await() {
	p.bodyTouched.Store(true)
	p.msg.Await()
}

func (p *requestBody) note(n int, err error) error {
	p.bodyBytes.Add(int64(n))
	err = (*conn)(p).paced(n, err)
	if err == io.EOF {
		p.bodyDone.Store(true)
	}
	return err
}

// wait is called before a read of the body waits for the client.
func (c *conn) wait() error {
	if err := (*requestBody)(c).Continue(); err != nil {
		return err
	}
	c.awaitBody()
	if c.stopped.Load() {
		c.readBy(past)
		return errStopped
	}
	return nil
}

// Continue implements exchange.Body.
func (p *requestBody) Continue() error {
	c := (*conn)(p)
	if !c.awaits.Swap(false) {
		return nil
	}
	c.extendWrite()
	_, err := io.WriteString(c.nc, "HTTP/1.1 100 Continue\r\n\r\n")
	return err
}

// Stop implements exchange.Body.
func (p *requestBody) Stop() {
	p.stopped.Store(true)
	(*conn)(p).readBy(past)
}

// Trailer implements exchange.Body.
func (p *requestBody) Trailer() exchange.Header { return p.msg.Trailer() }

// bodyTaken reports whether the request's body has been read to its end. One that nobody has begun to read and that has
// arrived is thrown away here, so that refusing a small POST doesn't cost the connection. A client that was never told to
// go on may send its body or not: that connection is not used again.
func (c *conn) bodyTaken() bool {
	if c.bodyTouched.Load() {
		return c.bodyDone.Load()
	}
	if c.msg.Done() {
		return true
	}
	var scratch [512]byte
	for !c.expected {
		n, err := c.msg.ReadArrived(scratch[:])
		if err != nil {
			return err == io.EOF
		}
		if n == 0 {
			break
		}
	}
	return false
}
