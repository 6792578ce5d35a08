// SPDX-License-Identifier: Apache-2.0

package socket

import (
	"net"
	"syscall"
)

// Room tells whether a write to a connection would have to wait for the other side, and waits for that without anything to
// write in hand. With TLS it looks at the connection below. The zero value needs Reset. It belongs to one goroutine at a time.
type Room struct {
	raw   syscall.RawConn // nil where there is no way to tell
	free  bool
	look  func(fd uintptr) // made once, so that a look doesn't allocate
	until func(fd uintptr) bool
}

// Reset makes r look at conn, or at none if that is nil.
func (r *Room) Reset(conn net.Conn) {
	r.raw = nil
	if conn == nil || !canLook {
		return
	}
	tcp, ok := Kernel(conn).(*net.TCPConn)
	if !ok {
		return
	}
	r.raw, _ = tcp.SyscallConn()
	if r.look == nil {
		r.look = func(fd uintptr) { r.free = writable(fd) }
		r.until = writable
	}
}

// Set reports whether Reset was called with a connection that can be looked at.
func (r *Room) Set() bool { return r.raw != nil }

// Free reports whether a write of half of what Listen bounds would end at once, or fail at once. Where there is no way to
// tell it says so, too.
func (r *Room) Free() bool {
	if r.raw == nil {
		return true
	}
	r.free = true
	if r.raw.Control(r.look) != nil {
		return true // it was closed: the write says so
	}
	return r.free
}

// Wait waits until Free, or for the connection's write deadline.
func (r *Room) Wait() error {
	if r.raw == nil {
		return nil
	}
	return r.raw.Write(r.until)
}
