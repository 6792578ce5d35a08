// SPDX-License-Identifier: Apache-2.0

package tunnel

import "encoding/binary"

// frames follows the frames of one direction of a WebSocket (RFC 6455, section 5.2), to know where one ends and another may
// be put in between. It looks at heads only and keeps no byte of what they carry.
type frames struct {
	head   [14]byte
	n      int    // bytes of the head that have come
	left   uint64 // bytes of the payload that have not
	closed bool   // a close frame has begun: nothing may follow it
	broken bool   // these are not frames: no boundary is known any more
}

const opClose = 8

// step takes bytes up to the end of the frame that they are in or begin, or all of them, and returns how many. It takes at
// least one where there is one.
func (f *frames) step(b []byte) int {
	if f.broken {
		return len(b)
	}
	for i := 0; i < len(b); {
		if f.left > 0 {
			k := min(f.left, uint64(len(b)-i))
			f.left -= k
			i += int(k)
			if f.left == 0 {
				return i
			}
			continue
		}
		f.head[f.n] = b[i]
		f.n++
		i++
		if f.n < 2 || f.n < f.headBytes() {
			continue
		}
		if f.begin(); f.broken {
			return len(b)
		} else if f.left == 0 {
			return i
		}
	}
	return len(b)
}

// headBytes returns how long the head is; its first two bytes must be there.
func (f *frames) headBytes() int {
	n := 2
	switch f.head[1] & 0x7f {
	case 126:
		n += 2
	case 127:
		n += 8
	}
	if f.head[1]&0x80 != 0 {
		n += 4
	}
	return n
}

// begin reads a head that is complete.
func (f *frames) begin() {
	f.n = 0
	switch n := f.head[1] & 0x7f; n {
	case 126:
		f.left = uint64(binary.BigEndian.Uint16(f.head[2:]))
	case 127:
		f.left = binary.BigEndian.Uint64(f.head[2:])
	default:
		f.left = uint64(n)
	}
	op := f.head[0] & 0x0f
	control := op >= 8
	f.broken = op > 2 && op < 8 || op > 10 || f.left>>63 != 0 || control && (f.left > 125 || f.head[0]&0x80 == 0)
	f.closed = f.closed || op == opClose
}

// boundary reports whether the next byte begins a frame.
func (f *frames) boundary() bool { return f.n == 0 && f.left == 0 && !f.broken }
