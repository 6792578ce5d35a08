// SPDX-License-Identifier: Apache-2.0

package socket

import (
	"fmt"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// unsentBytes is how much the kernel takes of what a client's window has no room for. Without a bound it takes some megabytes
// for each client that asks and does not read; 5,000 of them take all that the kernel has for TCP, from everyone. Writers
// are woken at half of it: much less would cost those who read fast. Ours.
const unsentBytes = 128 << 10

// Keep-alive probes find clients that are gone without a word: after 15 s of silence, every 15 s, nine times. Package
// net's own defaults.
const (
	probeAfter = 15 // seconds
	probeEvery = 15 // seconds
	probeCount = 9
)

// configure has a listener set the options that its connections are to have. On Linux an accepted socket inherits them of the socket
// that listens, so they are set once instead of by five calls of the system for each connection.
func configure(lc *net.ListenConfig) {
	lc.KeepAlive = -1 // package net would set the probes again, for each connection
	lc.Control = inherit
}

// inherit is a net.ListenConfig's Control.
func inherit(_, _ string, c syscall.RawConn) (err error) {
	failed := c.Control(func(fd uintptr) {
		for _, o := range [...]struct{ level, name, value int }{
			{unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, unsentBytes},
			{unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
			{unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, probeAfter},
			{unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, probeEvery},
			{unix.IPPROTO_TCP, unix.TCP_KEEPCNT, probeCount},
		} {
			if err == nil {
				err = unix.SetsockoptInt(int(fd), o.level, o.name, o.value)
			}
		}
	})
	if failed != nil {
		return failed
	}
	if err != nil {
		return fmt.Errorf("set what connections inherit: %w", os.NewSyscallError("setsockopt", err))
	}
	return nil
}
