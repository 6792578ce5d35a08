// SPDX-License-Identifier: Apache-2.0

package upstream

import (
	"syscall"
	"unsafe"
)

// peeker looks at a socket without waiting and without taking what is there.
type peeker struct {
	b     [1]byte
	errno syscall.Errno
	look  func(fd uintptr) // made once, so that a look doesn't allocate
}

func (p *peeker) init() {
	p.look = func(fd uintptr) {
		// The raw form: it can't block, and x/sys/unix's Recvfrom would allocate an address.
		_, _, p.errno = syscall.RawSyscall6(syscall.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(&p.b[0])), 1,
			syscall.MSG_PEEK|syscall.MSG_DONTWAIT, 0, 0)
	}
}

// quiet reports whether nothing has come in, the connection's end included.
func (p *peeker) quiet(raw syscall.RawConn) bool {
	return raw.Control(p.look) == nil && (p.errno == syscall.EAGAIN || p.errno == syscall.EINTR)
}
