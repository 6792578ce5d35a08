// SPDX-License-Identifier: Apache-2.0

package http1

import (
	"errors"
	"io"

	"meridian/proxy/exchange"
)

// bodyKind is the way in which a body's end is marked.
type bodyKind uint8

const (
	bodyNone bodyKind = iota
	bodyLength
	bodyChunked
	bodyUntilClose
)

// Message reads the body of one message from a connection: RFC 9112, section 6.3. It knows nothing of deadlines; wait is
// called before each read that may wait for the peer.
type Message struct {
	r       *Reader
	wait    func() error
	kind    bodyKind
	left    int64
	chunked chunked
	err     error // what every further read returns
}

// reset makes m the body of the given length that r is at the beginning of.
func (m *Message) reset(r *Reader, length int64, wait func() error) {
	*m = Message{r: r, wait: wait}
	switch {
	case length > 0:
		m.kind, m.left = bodyLength, length
	case length == exchange.LengthUnknown:
		m.kind = bodyChunked
	case length == lengthUntilClose:
		m.kind = bodyUntilClose
	default:
		m.err = io.EOF
	}
}

// ResetResponse makes m the body of the answer whose head was just read from r, and replaces the marks of HTTP/1 in
// resp.Length. wait is called before each read that may wait for the node.
func (m *Message) ResetResponse(r *Reader, resp *Response, wait func() error) {
	if resp.Bodyless {
		m.reset(r, exchange.LengthNone, wait)
	} else {
		m.reset(r, resp.Length, wait)
	}
	if resp.Length == lengthUntilClose {
		resp.Length = exchange.LengthUnknown
	}
}

// Done reports whether the whole body has been read.
func (m *Message) Done() bool { return m.err == io.EOF }

// Trailer returns the trailer fields, valid once Read has returned io.EOF.
func (m *Message) Trailer() exchange.Header { return m.chunked.trailer }

// Read implements io.Reader. The body's end comes with its last bytes where it is known by then, so that an answer can be
// sent whole. io.ErrUnexpectedEOF says that the peer left before the end, a *Refusal that the coding is broken.
func (m *Message) Read(p []byte) (int, error) {
	for {
		n, err := m.ReadArrived(p)
		if n > 0 || err != nil || len(p) == 0 {
			return n, err
		}
		if err := m.wait(); err != nil {
			return 0, m.fail(err)
		}
		if m.kind != bodyChunked && len(p) >= bufferBytes {
			return m.readPast(p)
		}
		if err := m.r.Fill(); err != nil {
			return 0, m.fail(err)
		}
	}
}

// CanAwait reports whether the connection can wait without a buffer.
func (m *Message) CanAwait() bool { return m.r.CanAwait() }

// Await waits until more of the body has arrived, or its end, which the next ReadArrived then returns. It holds no
// buffer meanwhile.
func (m *Message) Await() {
	if m.err != nil {
		return
	}
	if m.kind != bodyChunked && len(m.r.Buffered()) > 0 {
		return
	}
	err := m.wait()
	switch {
	case err != nil:
	case m.kind != bodyChunked:
		err = m.r.Await()
	default: // what is coded has to be in the buffer
		err = m.r.FillLazily()
	}
	if err != nil {
		m.fail(err)
	}
}

// Shrink gives the buffer back if nothing is in it.
func (m *Message) Shrink() {
	if len(m.r.Buffered()) == 0 {
		m.r.Release()
	}
}

// readPast reads into p without the way through the buffer, which is empty.
func (m *Message) readPast(p []byte) (int, error) {
	if m.kind == bodyLength {
		p = p[:min(int64(len(p)), m.left)]
	}
	n, err := m.r.Read(p)
	if n == 0 && err != nil {
		return 0, m.fail(err)
	}
	return n, m.took(n)
}

// ReadArrived is Read without waiting: 0 and nil say that nothing more has arrived.
func (m *Message) ReadArrived(p []byte) (n int, err error) {
	if m.err != nil {
		return 0, m.err
	}
	switch m.kind {
	case bodyChunked:
		return m.readChunks(p)
	case bodyLength:
		p = p[:min(int64(len(p)), m.left)]
	}
	if len(m.r.Buffered()) == 0 {
		if n, err = m.r.ReadNow(p); err != nil {
			return 0, m.fail(err)
		}
		return n, m.took(n)
	}
	n = copy(p, m.r.Buffered())
	m.r.Discard(n)
	return n, m.took(n)
}

// took notes that n bytes of a body without coding were read.
func (m *Message) took(n int) error {
	if m.kind == bodyLength {
		if m.left -= int64(n); m.left == 0 {
			m.err = io.EOF
		}
	}
	return m.err
}

// readChunks decodes as many buffered chunks as fit p.
func (m *Message) readChunks(p []byte) (n int, err error) {
	for n < len(p) || len(p) == 0 {
		k, done, err := m.chunked.step(m.r, p[n:])
		n += k
		switch {
		case done:
			m.err = io.EOF
			return n, io.EOF
		case errors.Is(err, errMoreNeeded):
			return n, nil
		case err != nil:
			m.err = err
			return n, err
		case len(p) == 0:
			return 0, nil
		}
	}
	return n, nil
}

// fail turns what a connection returned into the body's last error. The end of the connection ends a body that has no
// other end; in every other it is a break.
func (m *Message) fail(err error) error {
	switch {
	case errors.Is(err, io.EOF) && m.kind == bodyUntilClose:
		m.err = io.EOF
	case errors.Is(err, io.EOF):
		m.err = io.ErrUnexpectedEOF
	default:
		m.err = err
	}
	return m.err
}
