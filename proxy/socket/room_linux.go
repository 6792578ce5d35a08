// SPDX-License-Identifier: Apache-2.0

package socket

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

const canLook = true

// writable reports whether a socket takes more. Where it does not, the kernel tells Go's poller once it does.
func writable(fd uintptr) bool { return ready(fd, unix.POLLOUT) }

// ready reports whether one of the events, or an error, has come. The raw form: it can't block.
func ready(fd uintptr, events int16) bool {
	p := unix.PollFd{Fd: int32(fd), Events: events}
	var now unix.Timespec
	n, _, errno := syscall.RawSyscall6(syscall.SYS_PPOLL, uintptr(unsafe.Pointer(&p)), 1, uintptr(unsafe.Pointer(&now)), 0, 0, 0)
	return errno != 0 && errno != syscall.EINTR || n > 0
}
