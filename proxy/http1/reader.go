// SPDX-License-Identifier: Apache-2.0

package http1

import (
	"errors"
	"io"
	"sync"
)

// bufferBytes is what a Reader starts with: it holds the head of nearly every message. Ours.
const bufferBytes = 4096

var bufferPool = sync.Pool{New: func() any { return new([bufferBytes]byte) }}

// errReaderFull is returned by Fill where the buffer has its largest size and holds nothing that was read.
var errReaderFull = errors.New("the buffer is full")

// Reader is a buffered reader that shows its buffer and borrows it: bufio.Reader cannot grow for a long head, nor give
// its memory back. It belongs to one goroutine at a time.
type Reader struct {
	src  io.Reader
	max  int // bytes that the buffer may grow to
	buf  []byte
	r, w int           // buf[r:w] has been read from src and not been taken
	room func() []byte // borrows buf; made once
}

// NewReader returns a reader whose buffer grows to at most max bytes.
func NewReader(src io.Reader, max int) *Reader { return &Reader{src: src, max: max} }

// Buffered returns what has arrived and was not taken; it is valid until the next call.
func (b *Reader) Buffered() []byte { return b.buf[b.r:b.w] }

// Discard takes n bytes of Buffered.
func (b *Reader) Discard(n int) {
	if b.r += n; b.r == b.w {
		b.r, b.w = 0, 0
	}
}

// Fill waits for more bytes and adds them to Buffered. It returns nil only if there are some.
func (b *Reader) Fill() error {
	if b.w == len(b.buf) && !b.makeRoom() {
		return errReaderFull
	}
	n, err := b.src.Read(b.buf[b.w:])
	b.w += n
	if n > 0 {
		return nil
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}

// FillLazily is Fill for a reader that holds nothing: while it waits it owns no buffer, where src allows that. The buffer is then
// one that was in use a moment ago, instead of one that has grown cold with its connection.
func (b *Reader) FillLazily() error {
	src, ok := b.src.(lazyReader)
	if !ok || b.r != b.w {
		return b.Fill()
	}
	b.Release()
	if b.room == nil {
		b.room = func() []byte { b.makeRoom(); return b.buf }
	}
	n, err := src.ReadLazily(b.room)
	b.w = n
	if n == 0 && err == nil {
		err = io.ErrNoProgress
	}
	return err
}

// FillNow is Fill without waiting, for a reader that holds nothing: 0 and nil say that nothing has arrived, or that there is no way to
// tell. It holds no buffer then.
func (b *Reader) FillNow() (n int, err error) {
	src, ok := b.src.(lazyReader)
	if !ok || b.r != b.w || !src.CanAwait() {
		return 0, nil
	}
	b.makeRoom()
	n, err = src.ReadNow(b.buf)
	b.w = n
	if n == 0 {
		b.Release()
	}
	return n, err
}

// lazyReader is what socket.Socket is.
type lazyReader interface {
	ReadLazily(room func() []byte) (int, error)
	ReadNow(p []byte) (int, error)
	CanAwait() bool
	Await() (ok bool, err error)
}

// CanAwait reports whether Await can do without a buffer.
func (b *Reader) CanAwait() bool {
	src, ok := b.src.(lazyReader)
	return ok && src.CanAwait()
}

// Await waits for more bytes. Where src can tell of them they are not read, so that ReadNow has them, and no buffer is held while it
// waits; else it is FillLazily.
func (b *Reader) Await() error {
	if src, ok := b.src.(lazyReader); ok && b.r == b.w {
		b.Release()
		if ok, err := src.Await(); ok {
			return err
		}
	}
	return b.FillLazily()
}

// makeRoom moves what is buffered to the front, or gets a larger buffer.
func (b *Reader) makeRoom() bool {
	switch {
	case b.buf == nil:
		b.buf = bufferPool.Get().(*[bufferBytes]byte)[:]
		return true
	case b.r > 0:
		b.w = copy(b.buf, b.buf[b.r:b.w])
		b.r = 0
		return true
	case len(b.buf) >= b.max:
		return false
	}
	next := make([]byte, min(b.max, 4*len(b.buf)))
	copy(next, b.buf[:b.w])
	b.giveBack()
	b.buf = next
	return true
}

// ReadNow reads past the buffer, which must be empty, what can be had without waiting: 0 and nil say that there is nothing.
func (b *Reader) ReadNow(p []byte) (int, error) {
	if src, ok := b.src.(interface{ ReadNow(p []byte) (int, error) }); ok && b.r == b.w {
		return src.ReadNow(p)
	}
	return 0, nil
}

// Read implements io.Reader. A read larger than the buffer goes past it.
func (b *Reader) Read(p []byte) (int, error) {
	if b.r == b.w {
		if len(p) >= bufferBytes {
			return b.src.Read(p)
		}
		if err := b.Fill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, b.buf[b.r:b.w])
	b.Discard(n)
	return n, nil
}

// Release gives the buffer's memory back and forgets what it holds. The reader may be used again.
func (b *Reader) Release() {
	b.giveBack()
	b.buf, b.r, b.w = nil, 0, 0
}

func (b *Reader) giveBack() {
	if len(b.buf) == bufferBytes {
		bufferPool.Put((*[bufferBytes]byte)(b.buf))
	}
}
