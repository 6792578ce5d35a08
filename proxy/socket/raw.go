// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64) && !race

package socket

import (
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// haveRaw is false under the race detector, which takes a byte that went through a socket of package net for order.
const haveRaw = true

// call is what a direction needs for its calls of the system; made once, so that none allocates.
type call struct {
	a, b  []byte // what is still to be written, or read into
	n     int    // bytes done
	errno syscall.Errno
	try   func(fd uintptr) bool // reports whether it is done, rather than to be tried again when the socket is ready
	now   func(fd uintptr)      // tries once
	waits bool                  // now was not done
	room  func() []byte         // provides a
	lazy  func(fd uintptr) bool // reads into room's
	asks  func(fd uintptr) bool // sends, and then has package net wait
	asked bool                  // asks has been called
	early bool                  // something had come in before Ask sent
}

func (*call) init(c *call, try func(*call, uintptr) bool) {
	if c.try == nil {
		c.try = func(fd uintptr) bool { return try(c, fd) }
		c.now = func(fd uintptr) { c.waits = !try(c, fd) }
	}
}

// run has op call try, at once and then whenever the socket is ready.
func (c *call) run(op func(func(uintptr) bool) error, a, b []byte) (int, error) {
	c.a, c.b, c.n, c.errno = a, b, 0, 0
	err := op(c.try)
	c.a, c.b = nil, nil
	if err == nil && c.errno != 0 {
		err = os.NewSyscallError("socket", c.errno)
	}
	return c.n, err
}

// runAsk has op, which is that of reading, call ask.
func (c *call) runAsk(op func(func(uintptr) bool) error, a, b []byte) (int, error) {
	if c.asks == nil {
		c.asks = func(fd uintptr) bool { return ask(c, fd) }
	}
	c.a, c.b, c.n, c.errno, c.asked, c.early = a, b, 0, 0, false, false
	err := op(c.asks)
	c.a, c.b = nil, nil
	switch {
	case c.errno != 0:
		err = os.NewSyscallError("socket", c.errno)
	case c.asked: // the error, if there is one, is that of the wait, which the next read meets, too
		err = nil
	}
	return c.n, err
}

// runLazy has op, which is that of reading, call readLazily.
func (c *call) runLazy(op func(func(uintptr) bool) error, room func() []byte) (int, error) {
	if c.lazy == nil {
		c.lazy = func(fd uintptr) bool { return readLazily(c, fd) }
	}
	c.room, c.n, c.errno, c.asked = room, 0, 0, false
	err := op(c.lazy)
	c.room, c.a = nil, nil
	if err == nil && c.errno != 0 {
		err = os.NewSyscallError("socket", c.errno)
	}
	return c.n, err
}

// once has op call now.
func (c *call) once(op func(func(uintptr)) error, a, b []byte) (n int, waits bool, err error) {
	c.a, c.b, c.n, c.errno = a, b, 0, 0
	err = op(c.now)
	c.a, c.b = nil, nil
	if err == nil && c.errno != 0 {
		err = os.NewSyscallError("socket", c.errno)
	}
	return c.n, c.waits, err
}

// read and send use the calls for sockets: read and write of files go through checks for files first.
func read(c *call, fd uintptr) bool {
	for {
		n, _, errno := syscall.RawSyscall6(syscall.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(&c.a[0])), uintptr(len(c.a)), 0, 0, 0)
		switch errno {
		case 0:
			c.n = int(n)
			return true
		case syscall.EINTR:
		case syscall.EAGAIN:
			return false
		default:
			c.errno = errno
			return true
		}
	}
}

func write(c *call, fd uintptr) bool {
	for len(c.a)+len(c.b) > 0 {
		n, errno := c.send(fd)
		switch errno {
		case 0:
			c.sent(n)
		case syscall.EINTR:
		case syscall.EAGAIN:
			return false
		default:
			c.errno = errno
			return true
		}
	}
	return true
}

// quiet reports whether there is nothing to be read, not even the end.
func quiet(fd uintptr) bool {
	var b [1]byte
	_, _, errno := syscall.RawSyscall6(syscall.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(&b[0])), 1, syscall.MSG_PEEK|syscall.MSG_DONTWAIT, 0, 0)
	return errno == syscall.EAGAIN
}

// heard reports whether there is something to be read, the end and an error included. Unlike a look with recvfrom it leaves an error
// where it is: the read behind a reset would otherwise find an end, and take half an answer for whole.
func heard(fd uintptr) bool { return ready(fd, unix.POLLIN) }

// readLazily takes a buffer once there is something to be put into it.
func readLazily(c *call, fd uintptr) bool {
	if !c.asked {
		c.asked = true
		if quiet(fd) {
			return false
		}
	}
	if c.a == nil {
		c.a = c.room()
	}
	return read(c, fd)
}

// ask looks, sends and then has package net wait, without a read that would find nothing. That misses no answer: package
// net forgets what it knows of the socket's readiness before the first call of ask, and the look says that nothing has
// come until then, so whatever comes, be it while ask still sends, is an edge of its own for the kernel's epoll, and ends
// the wait. An event that was on its way from before ends it too early; the read that follows then waits anew.
func ask(c *call, fd uintptr) bool {
	if c.asked {
		return true
	}
	c.asked = true
	if c.early = !quiet(fd); c.early {
		return true
	}
	return !write(c, fd) || c.errno != 0
}

func (c *call) send(fd uintptr) (int, syscall.Errno) {
	if len(c.b) == 0 {
		n, _, errno := syscall.RawSyscall6(syscall.SYS_SENDTO, fd, uintptr(unsafe.Pointer(&c.a[0])), uintptr(len(c.a)), syscall.MSG_NOSIGNAL, 0, 0)
		return int(n), errno
	}
	var v [2]syscall.Iovec
	v[0].Base, v[1].Base = &c.a[0], &c.b[0]
	v[0].SetLen(len(c.a))
	v[1].SetLen(len(c.b))
	n, _, errno := syscall.RawSyscall(syscall.SYS_WRITEV, fd, uintptr(unsafe.Pointer(&v[0])), 2)
	return int(n), errno
}

// sent takes n written bytes off the front.
func (c *call) sent(n int) {
	c.n += n
	k := min(n, len(c.a))
	c.a = c.a[k:]
	if c.b = c.b[n-k:]; len(c.a) == 0 {
		c.a, c.b = c.b, nil
	}
}
