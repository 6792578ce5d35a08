// SPDX-License-Identifier: Apache-2.0

//go:build unix

package tunnel

import (
	"io"
	"os"
	"syscall"
)

func (w *waiter) init(raw syscall.RawConn) {
	w.raw = raw
	w.look = func(fd uintptr) bool {
		b := chunk{buf: copyPool.Get().(*[copyBytes]byte)}
		for {
			n, err := syscall.Read(int(fd), b.buf[:])
			switch {
			case err == syscall.EINTR:
				continue
			case err == syscall.EAGAIN:
				b.free()
				return false // the runtime waits for the socket, and calls again
			case err != nil:
				w.err = os.NewSyscallError("read", err)
			case n == 0:
				w.err = io.EOF
			}
			b.n = max(n, 0)
			w.got = b
			return true
		}
	}
}

func (w *waiter) read() (chunk, error) {
	w.got, w.err = chunk{}, nil
	if err := w.raw.Read(w.look); err != nil {
		return chunk{}, err
	}
	return w.got, w.err
}
