// SPDX-License-Identifier: Apache-2.0

package http2

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"meridian/proxy/exchange"
	"meridian/proxy/strict"
)

var errStopped = errors.New("the request's body is not read any further")

// requestBody is a stream as exchange.Body.
type requestBody stream

// Read implements exchange.Body.
func (p *requestBody) Read(b []byte) (int, error) {
	s := (*stream)(p)
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	for {
		n, err := s.arrived(b)
		if n > 0 || err != nil || len(b) == 0 {
			if s.pace.Waiting() {
				s.pace.Got(n, time.Now())
			}
			return n, err
		}
		s.sendContinue()
		if !s.readable.wait(s.pace.Wait(time.Now(), s.idle)) {
			if s.pace.TooSlow() {
				p := s.c.s.config()
				return 0, strict.Refuse(408, "the request's body came with less than %d bytes per second over %s", p.MinBodyRate, p.BodyWindow)
			}
			return 0, fmt.Errorf("request body: nothing for %s: %w", s.idle, os.ErrDeadlineExceeded)
		}
	}
}

// ReadArrived implements exchange.Body.
func (p *requestBody) ReadArrived(b []byte) (int, error) {
	s := (*stream)(p)
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	return s.arrived(b)
}

// arrived takes what is there. It needs c.mu.
func (s *stream) arrived(b []byte) (n int, err error) {
	switch {
	case s.stopped:
		return 0, errStopped
	case s.err != nil:
		return 0, s.err
	case s.got == s.x.Length && !s.remoteEnded:
		return 0, nil // with what comes behind it, it may still turn out to be malformed: a node must not have it as whole by then
	}
	n = copy(b, s.body[s.taken:])
	if s.taken += n; s.taken == len(s.body) {
		s.body, s.taken = s.body[:0], 0
		if cap(s.body) > frameBytes {
			s.body = nil // a body that is read as it comes needs little
		}
		if s.remoteEnded {
			err = io.EOF
		}
	}
	if n > 0 {
		s.consume(n)
	}
	return n, err
}

// Continue implements exchange.Body.
func (p *requestBody) Continue() error {
	s := (*stream)(p)
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	s.sendContinue()
	return nil
}

// sendContinue sends 100 to a client that waits for it: RFC 9110, section 15.2.1. It needs c.mu.
func (s *stream) sendContinue() {
	if s.awaits && s.err == nil {
		s.awaits = false
		s.c.encode(s.id, 100, nil, exchange.LengthNone, false)
	}
}

// Stop implements exchange.Body. What still comes is thrown away, which the client may go on with until the answer's end.
func (p *requestBody) Stop() {
	s := (*stream)(p)
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	if s.stopped {
		return
	}
	s.stopped = true
	if s.err == nil {
		s.consume(len(s.body) - s.taken)
	}
	s.body, s.taken = nil, 0
	s.readable.cond.Broadcast()
}

// Trailer implements exchange.Body.
func (p *requestBody) Trailer() exchange.Header {
	p.c.mu.Lock()
	defer p.c.mu.Unlock()
	return p.trailer
}
