// SPDX-License-Identifier: Apache-2.0

package h2

import (
	"encoding/binary"
	"io"

	"golang.org/x/net/http2"
)

// maxContinuations bounds the CONTINUATION frames of one head. Ours: a head within its limit needs two; x/net's Framer bounds
// what is in them, so that empty ones would go on for ever.
const maxContinuations = 16

// frameHeaderBytes is the length of a frame's header: RFC 9113, section 4.1.
const frameHeaderBytes = 9

// blockReader reads a node's frames for a Framer, and fails where a head comes in too many.
type blockReader struct {
	src     io.Reader
	header  [frameHeaderBytes]byte
	have    int // bytes of the header that is being read
	payload int // bytes of the payload that are still to come
	in      int // CONTINUATION frames in a row
}

// Read implements io.Reader.
func (r *blockReader) Read(p []byte) (int, error) {
	n, err := r.src.Read(p)
	for rest := p[:n]; len(rest) > 0; {
		if r.payload > 0 {
			k := min(r.payload, len(rest))
			r.payload -= k
			rest = rest[k:]
			continue
		}
		k := copy(r.header[r.have:], rest)
		r.have += k
		rest = rest[k:]
		if r.have == frameHeaderBytes && !r.frame() {
			return 0, connError("a head in more than %d frames", maxContinuations)
		}
	}
	return n, err
}

// frame takes a header. It reports whether the frame is one that may come.
func (r *blockReader) frame() bool {
	r.have = 0
	r.payload = int(binary.BigEndian.Uint32(r.header[:]) >> 8)
	if http2.FrameType(r.header[3]) != http2.FrameContinuation {
		r.in = 0
		return true
	}
	r.in++
	return r.in <= maxContinuations
}
