// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"os"
	"syscall"
)

// parentFD is the descriptor of the pipe whose other end the parent holds.
const parentFD = 3

// parentPipe opens it. Anything but a pipe is refused: without one the number may be a descriptor of the Go runtime's own.
func parentPipe() (*os.File, error) {
	var st syscall.Stat_t
	if err := syscall.Fstat(parentFD, &st); err != nil || st.Mode&syscall.S_IFMT != syscall.S_IFIFO {
		return nil, misusef("--exit-with-parent: descriptor %d is not a pipe", parentFD)
	}
	// Non-blocking, so that closing it ends the read.
	if err := syscall.SetNonblock(parentFD, true); err != nil {
		return nil, misusef("--exit-with-parent: descriptor %d: %w", parentFD, err)
	}
	return os.NewFile(parentFD, "parent"), nil
}

// withParent returns a context that is also done when the other end of the pipe is closed, which the kernel does whatever
// way the parent ends. stop closes the pipe and waits for its reader.
func withParent(ctx context.Context, pipe *os.File) (_ context.Context, stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer cancel()
		_, _ = pipe.Read(make([]byte, 1)) // nothing is ever written: it returns when either end is closed
	}()
	return ctx, func() {
		cancel()
		pipe.Close()
		<-ended
	}
}
