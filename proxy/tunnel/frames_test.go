// SPDX-License-Identifier: Apache-2.0

package tunnel

import (
	"bytes"
	"testing"
)

// frame writes a frame as RFC 6455, section 5.2 has it.
func frame(op byte, mask bool, payload int) []byte {
	b := []byte{0x80 | op, 0}
	switch {
	case payload < 126:
		b[1] = byte(payload)
	case payload < 1<<16:
		b[1] = 126
		b = append(b, byte(payload>>8), byte(payload))
	default:
		b[1] = 127
		b = append(b, 0, 0, 0, 0, byte(payload>>24), byte(payload>>16), byte(payload>>8), byte(payload))
	}
	if mask {
		b[1] |= 0x80
		b = append(b, 1, 2, 3, 4)
	}
	return append(b, bytes.Repeat([]byte{0x88}, payload)...)
}

func TestBoundariesAreSeenHoweverTheBytesCome(t *testing.T) {
	var all []byte
	ends := map[int]bool{0: true}
	for _, n := range []int{0, 1, 125, 126, 65535, 65536} {
		for _, mask := range []bool{false, true} {
			all = append(all, frame(2, mask, n)...)
			ends[len(all)] = true
		}
	}
	for _, size := range []int{1, 2, 3, 7, 1000, len(all)} {
		var f frames
		for at := 0; at < len(all); {
			rest := all[at:min(at+size, len(all))]
			for len(rest) > 0 {
				n := f.step(rest)
				rest, at = rest[n:], at+n
				if f.boundary() != ends[at] {
					t.Fatalf("pieces of %d: at %d boundary is %v", size, at, f.boundary())
				}
			}
		}
		if f.closed || f.broken {
			t.Fatalf("pieces of %d: closed %v, broken %v", size, f.closed, f.broken)
		}
	}
}

func TestWhatIsNoFrameHasNoBoundary(t *testing.T) {
	for name, b := range map[string][]byte{
		"reserved opcode":    {0x83, 0},
		"63 bits":            {0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0},
		"long control frame": {0x89, 126, 1, 0},
		"fragmented control": {0x08, 0},
	} {
		var f frames
		if n := f.step(append(b, 1, 2, 3)); n != len(b)+3 || f.boundary() {
			t.Errorf("%s: took %d, boundary %v", name, n, f.boundary())
		}
	}
	var f frames
	if f.step(frame(opClose, false, 2)); !f.closed || !f.boundary() {
		t.Error("a close frame is not seen")
	}
}

func FuzzFrames(f *testing.F) {
	f.Add(append(frame(1, true, 300), frame(opClose, false, 2)...), uint8(3))
	f.Add([]byte{0x82, 127, 0xff, 0, 0, 0, 0, 0, 0, 0}, uint8(1))
	f.Fuzz(func(t *testing.T, b []byte, size uint8) {
		var whole, pieces frames
		for rest := b; len(rest) > 0; {
			n := whole.step(rest)
			if n < 1 || n > len(rest) {
				t.Fatalf("took %d of %d", n, len(rest))
			}
			rest = rest[n:]
		}
		for at := 0; at < len(b); {
			n := pieces.step(b[at:min(at+int(size)+1, len(b))])
			at += n
		}
		if whole.boundary() != pieces.boundary() || whole.closed != pieces.closed || whole.broken != pieces.broken {
			t.Errorf("whole %+v, in pieces %+v", whole, pieces)
		}
	})
}
