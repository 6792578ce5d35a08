// SPDX-License-Identifier: Apache-2.0

package tunnel

import (
	"net"
	"syscall"
	"time"
)

// side is one of the two connections. One goroutine reads from it, another writes to it.
type side struct {
	nc      net.Conn
	wait    waiter
	told    bool      // GoAway was noticed; touched by the reader only
	writeBy time.Time // the write deadline in force; the writer's
}

func (s *side) init(nc net.Conn) {
	s.nc = nc
	if tcp, ok := nc.(*net.TCPConn); ok { // not what only embeds one: its bytes may not be those of the socket
		if raw, err := tcp.SyscallConn(); err == nil {
			s.wait.init(raw)
		}
	}
}

// write sends b. A timer is moved only when a quarter of its time has passed.
func (s *side) write(b []byte, timeout time.Duration) error {
	if now := time.Now(); s.writeBy.Sub(now) < timeout*3/4 {
		s.writeBy = now.Add(timeout)
		s.nc.SetWriteDeadline(s.writeBy)
	}
	_, err := s.nc.Write(b)
	return err
}

// read waits for bytes.
func (s *side) read() (chunk, error) {
	if s.wait.raw != nil {
		return s.wait.read()
	}
	b := chunk{buf: copyPool.Get().(*[copyBytes]byte)}
	var err error
	b.n, err = s.nc.Read(b.buf[:])
	return b, err
}

// chunk is a pooled buffer with what was read into it.
type chunk struct {
	buf *[copyBytes]byte
	n   int
}

func (b *chunk) bytes() []byte { return b.buf[:b.n] }

// free gives the buffer back.
func (b *chunk) free() {
	if b.buf != nil {
		copyPool.Put(b.buf)
		b.buf = nil
	}
}

// waiter reads a socket without owning a buffer while it waits.
type waiter struct {
	raw  syscall.RawConn // nil: not to be used
	got  chunk
	err  error
	look func(fd uintptr) bool // made once, so that a read doesn't allocate
}
