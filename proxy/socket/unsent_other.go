// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package socket

import "syscall"

// limitUnsent does nothing where nothing is known to do.
func limitUnsent(_, _ string, _ syscall.RawConn) error { return nil }
