// SPDX-License-Identifier: Apache-2.0

package h2

import (
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"meridian/proxy/exchange"
	"meridian/proxy/http1"
	"meridian/proxy/upstream"
)

// maxInterim bounds the 1xx answers before the final one, as in http1.
const maxInterim = 16

// put encodes one field into hbuf. wmu is held. The encoder keeps the strings in its dynamic table for later requests, and
// these ones are only valid until the exchange ends: hence the copies.
func (c *conn) put(name, value string) {
	// What no two requests have alike would only push the rest out of the table.
	once := name == "x-request-id"
	c.henc.WriteField(hpack.HeaderField{Name: strings.Clone(name), Value: strings.Clone(value), Sensitive: once})
}

// writeHeaders writes hbuf as HEADERS and CONTINUATION. wmu is held; maxFrame is at least 16384 whenever it is read.
func (c *conn) writeHeaders(id uint32, end bool) {
	const most = 16384
	b := c.hbuf.Bytes()
	first := b[:min(len(b), most)]
	b = b[len(first):]
	c.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: first, EndStream: end, EndHeaders: len(b) == 0})
	for len(b) > 0 {
		part := b[:min(len(b), most)]
		b = b[len(part):]
		c.fr.WriteContinuation(id, len(b) == 0, part)
	}
}

// onHeaders takes a head or the trailer. c.mu is held.
func (s *Call) onHeaders(f *http2.MetaHeadersFrame) {
	if s.err != nil || s.ended {
		return
	}
	if wrong := s.readHeaders(f); wrong != "" {
		s.failLocked(connError("%s", wrong))
		s.resetLocked(http2.ErrCodeProtocol)
		return
	}
	if f.StreamEnded() {
		if s.end(); !s.ended {
			s.heads = nil
		}
	}
	notify(s.ready)
}

// readHeaders returns what is wrong, or "".
func (s *Call) readHeaders(f *http2.MetaHeadersFrame) string {
	limits := *s.c.pool.limits.Load()
	if f.Truncated || len(f.Fields) > limits.Fields+1 {
		return "the head is longer than " + strconv.Itoa(limits.HeadBytes) + " bytes or has too many fields"
	}
	if s.headed {
		if len(f.PseudoFields()) > 0 || !f.StreamEnded() {
			return "a second head"
		}
		h, _, wrong := readFields(f.Fields)
		s.trailer = h
		return wrong
	}
	var resp http1.Response
	pseudo := f.PseudoFields()
	status := f.PseudoValue("status")
	n, err := strconv.ParseUint(status, 10, 16)
	if len(pseudo) != 1 || err != nil || len(status) != 3 || n < 100 || n > 599 || n == 101 {
		return "no valid :status"
	}
	resp.Status, resp.Keep = int(n), true
	var wrong string
	if resp.Header, s.declared, wrong = readFields(f.RegularFields()); wrong != "" {
		return wrong
	}
	if resp.Status < 200 {
		if s.nHeads++; s.nHeads > maxInterim || f.StreamEnded() || s.declared >= 0 {
			return "interim answers that are malformed or too many"
		}
		s.heads = append(s.heads, resp)
		return ""
	}
	s.headed = true
	s.bodyless = s.method == "HEAD" || n == 204 || n == 304
	switch {
	case s.declared >= 0:
		resp.Length = s.declared
	case f.StreamEnded() || s.bodyless:
		resp.Length = exchange.LengthNone
	default:
		resp.Length = exchange.LengthUnknown
	}
	resp.Bodyless = s.bodyless
	s.heads = append(s.heads, resp)
	return ""
}

// readFields takes regular fields: RFC 9113, section 8.2. The framer has checked names and values for bytes.
func readFields(fields []hpack.HeaderField) (h exchange.Header, length int64, wrong string) {
	length = -1
	h = make(exchange.Header, 0, len(fields))
	for _, f := range fields {
		switch f.Name {
		case "connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade":
			return nil, 0, "a field of HTTP/1"
		case "content-length":
			n, err := strconv.ParseUint(f.Value, 10, 63)
			if err != nil || length >= 0 || f.Value == "" || f.Value[0] == '+' {
				return nil, 0, "a Content-Length that is not one number"
			}
			length = int64(n)
			continue
		}
		// RFC 9113 forbids white space around a value, but a grpc-message may end in it. It is not passed on.
		h = append(h, exchange.Field{Name: f.Name, Value: strings.Trim(f.Value, " \t")})
	}
	return h, length, ""
}

// onData takes a part of the body. c.mu is held. What comes for an exchange that was given up is dropped.
func (s *Call) onData(b []byte, size int64, end bool) error {
	if s.room -= size; s.room < 0 {
		return connError("more data than its window")
	}
	if pad := size - int64(len(b)); pad > 0 {
		s.taken += pad
	}
	if s.err != nil || s.ended {
		return nil
	}
	s.got += int64(len(b))
	switch {
	case !s.headed || s.bodyless && len(b) > 0:
		s.failLocked(connError("data where none belongs"))
	case s.declared >= 0 && s.got > s.declared:
		s.failLocked(connError("more data than its Content-Length"))
	default:
		s.body = append(s.body, b...)
		if end {
			s.end()
		}
		notify(s.ready)
		return nil
	}
	s.resetLocked(http2.ErrCodeProtocol)
	return nil
}

// end takes the answer's end. c.mu is held.
func (s *Call) end() {
	switch {
	case !s.headed:
		s.failLocked(connError("the stream ended without a head"))
	case s.declared >= 0 && !s.bodyless && s.got != s.declared:
		s.failLocked(connError("%d bytes of a Content-Length of %d", s.got, s.declared))
	default:
		s.ended = true
	}
}

// ReadHead reads the head of the final answer. It is valid until Release or Close. started says whether the node has sent
// any of an answer. idle bounds the silence within the body.
func (s *Call) ReadHead(q http1.Sent, idle time.Duration) (resp *http1.Response, started bool, err error) {
	s.idle = idle
	for {
		s.c.mu.Lock()
		var head *http1.Response
		if len(s.heads) > 0 {
			head = &http1.Response{}
			*head = s.heads[0]
			s.heads = s.heads[1:]
		}
		err, by := s.err, s.headBy
		s.c.mu.Unlock()
		switch {
		case head != nil && head.Status >= 200:
			return head, true, nil
		case head != nil:
			started = true
			if head.Status != 100 && q.Interim != nil {
				if err := q.Interim(&head.Head); err != nil {
					return nil, true, err
				}
			}
			continue
		case err != nil:
			return nil, started, err
		}
		if err := s.await(by); err != nil {
			return nil, started, err
		}
	}
}

// await waits until something has come, or until the time, if there is one.
func (s *Call) await(by time.Time) error {
	if by.IsZero() {
		<-s.ready // RequestSent, Close, the answer or the connection's end, which PING bounds, wakes it
		return nil
	}
	t := time.NewTimer(time.Until(by))
	defer t.Stop()
	select {
	case <-s.ready:
		return nil
	case <-t.C:
	}
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	if len(s.heads) > 0 || len(s.body) > 0 || s.ended {
		return nil
	}
	return os.ErrDeadlineExceeded
}

// Read implements io.Reader for the answer's body. Its end comes with its last bytes where it is known by then.
func (s *Call) Read(p []byte) (int, error) {
	for {
		n, err := s.ReadArrived(p)
		if n > 0 || err != nil || len(p) == 0 {
			return n, err
		}
		if err := s.await(time.Now().Add(s.idle)); err != nil {
			return 0, err
		}
	}
}

// ReadArrived is Read without waiting: 0 and nil say that nothing more has arrived.
func (s *Call) ReadArrived(p []byte) (int, error) {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	n := copy(p, s.body)
	if s.body = s.body[n:]; len(s.body) == 0 {
		s.body = nil
	}
	s.giveRoom(n)
	switch {
	case len(s.body) > 0:
		return n, nil
	case s.ended:
		return n, io.EOF
	case n > 0:
		return n, nil
	}
	return 0, s.err
}

// giveRoom lets the node send as much again as was read, in steps.
func (s *Call) giveRoom(n int) {
	s.taken += int64(n)
	if s.taken < streamWindow/4 || s.ended || s.err != nil || s.left {
		return
	}
	s.c.ctlFr.WriteWindowUpdate(s.id, uint32(s.taken))
	s.room += s.taken
	s.taken = 0
	s.c.wakeControl()
}

// Trailer returns the trailer fields, valid once Read has returned io.EOF.
func (s *Call) Trailer() exchange.Header {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	return s.trailer
}

// Body reads the answer's body.
func (s *Call) Body() upstream.Body { return s }
