// SPDX-License-Identifier: Apache-2.0

package upstream

import (
	"errors"
	"syscall"
)

// peeker looks at a socket without waiting and without taking what is there.
type peeker struct {
	b    [1]byte
	err  error
	look func(fd uintptr)
}

func (p *peeker) init() {
	p.look = func(fd uintptr) {
		_, _, p.err = syscall.Recvfrom(int(fd), p.b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	}
}

// quiet reports whether nothing has come in, the connection's end included.
func (p *peeker) quiet(raw syscall.RawConn) bool {
	return raw.Control(p.look) == nil && (errors.Is(p.err, syscall.EAGAIN) || errors.Is(p.err, syscall.EINTR))
}
