// SPDX-License-Identifier: Apache-2.0

//go:build unix && !linux

package dev

import "syscall"

// attributes puts a child into a process group of its own, so that Ctrl-C reaches only the supervisor, which ends the
// children in order. Should the supervisor be killed, the children see the end of the pipe that they hold to it.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
