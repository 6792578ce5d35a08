// SPDX-License-Identifier: Apache-2.0

package socket

import (
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// unsentBytes is how much the kernel takes of what a client's window has no room for: twice the largest write. Without a
// bound the kernel takes some megabytes for each client that asks and does not read; 5,000 of them take all that the kernel
// has for TCP, from everyone. What a client's window lets through is not held up by it. Ours.
const unsentBytes = 64 << 10

// limitUnsent is a net.ListenConfig's Control. The connections of a listener have its options.
func limitUnsent(_, _ string, raw syscall.RawConn) (err error) {
	control := raw.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, unsentBytes)
	})
	if control != nil {
		return control
	}
	if err != nil {
		return fmt.Errorf("bound what waits to be sent: %w", os.NewSyscallError("setsockopt", err))
	}
	return nil
}
