// SPDX-License-Identifier: Apache-2.0

//go:build !unix

package tunnel

import "syscall"

// init leaves raw unset: reads hold a buffer.
func (w *waiter) init(syscall.RawConn) {}

func (w *waiter) read() (chunk, error) { return w.got, w.err }
