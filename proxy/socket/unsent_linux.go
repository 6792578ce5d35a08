// SPDX-License-Identifier: Apache-2.0

package socket

import (
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// unsentBytes is how much the kernel takes of what a client's window has no room for. Without a bound it takes some megabytes
// for each client that asks and does not read; 5,000 of them take all that the kernel has for TCP, from everyone. Writers
// are woken at half of it: much less would cost those who read fast. Ours.
const unsentBytes = 128 << 10

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
