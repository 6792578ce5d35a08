// SPDX-License-Identifier: Apache-2.0

// Package socket reads and writes TCP connections with less work for Go's scheduler than package net: a read or a write of
// a socket that is not blocking ends at once, so on Linux it is made as a raw call of the system, without telling the
// scheduler that the thread may block. Otherwise the scheduler watches each thread that is in a call, 50,000 times a
// second, and gives its processor away when a call takes 20 µs, as one that sends on a busy machine may.
//
// It leaves deadlines and closing to the net.Conn, which stays usable beside it. It has no goroutine.
//
//	var s socket.Socket
//	s.Reset(conn)
//	n, err := s.Read(buf)
package socket

import (
	"crypto/tls"
	"io"
	"net"
	"syscall"
)

// Socket reads and writes a connection. One goroutine may read while another one writes. The zero value needs Reset.
type Socket struct {
	conn net.Conn
	raw  syscall.RawConn // nil where reads and writes go through conn

	in  call
	out call

	below *Conn   // under TLS, where that can tell what has arrived; else nil
	first [1]byte // what ReadLazily waits with above it
}

// Reset makes s read and write conn, or none if that is nil.
func (s *Socket) Reset(conn net.Conn) {
	s.conn, s.raw, s.below = conn, nil, nil
	if t, ok := conn.(*tls.Conn); ok {
		s.below = wrapped(t.NetConn())
	}
	if tcp, ok := conn.(*net.TCPConn); ok && haveRaw {
		s.raw, _ = tcp.SyscallConn()
		s.in.init(&s.in, read)
		s.out.init(&s.out, write)
	}
}

// Read implements io.Reader. Its errors are those of net.Conn in what errors.Is says of them.
func (s *Socket) Read(p []byte) (int, error) {
	if s.raw == nil || len(p) == 0 {
		return s.conn.Read(p)
	}
	n, err := s.in.run(s.raw.Read, p, nil)
	if n == 0 && err == nil {
		err = io.EOF
	}
	return n, err
}

// ReadLazily is Read into a buffer that room provides once there is something to be read, or earlier where there is no way to
// tell. It is for waits that are expected to be long, and costs one call of the system more where something is there at once.
func (s *Socket) ReadLazily(room func() []byte) (int, error) {
	switch {
	case s.below != nil:
		return s.readLazilySecure(room)
	case s.raw == nil:
		return s.conn.Read(room())
	}
	n, err := s.in.runLazy(s.raw.Read, room)
	if n == 0 && err == nil {
		err = io.EOF
	}
	return n, err
}

// ReadNow is Read without waiting: 0 and nil say that there is nothing, or that there is no way to tell.
func (s *Socket) ReadNow(p []byte) (int, error) {
	switch {
	case len(p) == 0:
		return 0, nil
	case s.below != nil:
		return s.readNowSecure(p)
	case s.raw == nil:
		return 0, nil
	}
	n, waits, err := s.in.once(s.raw.Control, p, nil) // not raw.Read, which would heed the deadline
	if n == 0 && err == nil && !waits {
		err = io.EOF
	}
	return n, err
}

// CanAwait reports whether Await or ReadLazily can wait without a buffer.
func (s *Socket) CanAwait() bool { return s.raw != nil || s.below != nil }

// Await waits until there is something to be read, the connection's end included, and holds no buffer meanwhile. ok is false where
// there is no way to tell: it has not waited then.
func (s *Socket) Await() (ok bool, err error) {
	if s.raw == nil {
		return false, nil
	}
	return true, s.raw.Read(heard)
}

// Write implements io.Writer.
func (s *Socket) Write(p []byte) (int, error) { return s.WriteBoth(p, nil) }

// WriteBoth writes a and then b, in one call of the system where that can be. b may be empty.
func (s *Socket) WriteBoth(a, b []byte) (int, error) {
	if len(a) == 0 {
		a, b = b, nil
	}
	switch {
	case len(a) == 0:
		return 0, nil
	case s.raw != nil:
		return s.out.run(s.raw.Write, a, b)
	case len(b) == 0:
		return s.conn.Write(a)
	}
	both := net.Buffers{a, b}
	n, err := both.WriteTo(s.conn)
	return int(n), err
}

// WriteNow is WriteBoth without waiting, whatever the deadline: n says how much the kernel took. It may be 0 also where there
// is no way to tell. One of a and b must not be empty.
func (s *Socket) WriteNow(a, b []byte) (n int, err error) {
	if len(a) == 0 {
		a, b = b, nil
	}
	if s.raw == nil {
		return 0, nil
	}
	n, _, err = s.out.once(s.raw.Control, a, b)
	return n, err
}

// Cut takes the n bytes off the front of a and b that a write has taken.
func Cut(a, b []byte, n int) (_, _ []byte) {
	k := min(n, len(a))
	return a[k:], b[n-k:]
}

// CanAsk reports whether Ask may be called.
func (s *Socket) CanAsk() bool { return s.raw != nil }

// Ask sends a and then b to a peer that has nothing to say before that, and waits until there is something to be read, the
// connection's end or read deadline included, which the next Read tells of. Where something had come in before, it sends
// nothing and returns at once with early. It does not wait for the peer to take what is sent: n may be less than all with no
// error, and the rest is Write's. Nobody else may read or write meanwhile. One of a and b must not be empty.
func (s *Socket) Ask(a, b []byte) (n int, early bool, err error) {
	if len(a) == 0 {
		a, b = b, nil
	}
	n, err = s.out.runAsk(s.raw.Read, a, b)
	return n, s.out.early, err
}
