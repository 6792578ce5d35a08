// SPDX-License-Identifier: Apache-2.0

package dev

import "syscall"

// attributes puts a child into a process group of its own, so that Ctrl-C reaches only the supervisor, which ends the
// children in order; and has the kernel kill it should the supervisor be killed, even if the child is stopped.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
