// SPDX-License-Identifier: Apache-2.0

package http1

import (
	"bytes"
	"errors"

	"meridian/proxy/exchange"
	"meridian/proxy/strict"
)

// Bounds of the chunked coding (RFC 9112, section 7.1). Ours.
const (
	maxChunkLine  = 256      // a chunk's size with its extensions
	maxExtensions = 16 << 10 // the chunk extensions of one body, which cost the sender nothing
)

// errMoreNeeded is returned by a decoding step that needs bytes which have not arrived.
var errMoreNeeded = errors.New("more bytes are needed")

// chunkState is what the decoder expects next.
type chunkState uint8

const (
	chunkSize chunkState = iota
	chunkData
	chunkEnd // the CRLF after a chunk's data
	chunkTrailer
	chunkDone
)

// chunked decodes the chunked coding from a Reader's buffer, one step at a time, and never waits.
type chunked struct {
	state      chunkState
	left       int64 // bytes of the chunk's data still to come
	extensions int
	trailer    exchange.Header
}

// step decodes into p what is buffered. It returns errMoreNeeded where it needs more first, a *Refusal where the coding is
// broken; done says that the body's end has been taken.
func (c *chunked) step(r *Reader, p []byte) (n int, done bool, err error) {
	for {
		switch c.state {
		case chunkSize:
			err = c.readSize(r)
		case chunkData:
			b := r.Buffered()
			n = copy(p, b[:min(int64(len(b)), c.left)])
			r.Discard(n)
			if c.left -= int64(n); c.left == 0 {
				c.state = chunkEnd
			}
			if n == 0 {
				err = errMoreNeeded
			}
			return n, false, err
		case chunkEnd:
			err = c.readEnd(r)
		case chunkTrailer:
			err = c.readTrailer(r)
		case chunkDone:
			return 0, true, nil
		}
		if err != nil {
			return 0, false, err
		}
	}
}

// readSize takes 1*HEXDIG [ chunk-ext ] CRLF.
func (c *chunked) readSize(r *Reader) error {
	b := r.Buffered()
	i := bytes.IndexByte(b[:min(len(b), maxChunkLine)], '\n')
	if i < 0 {
		if len(b) >= maxChunkLine {
			return refuse(400, "a chunk's first line is longer than %d bytes", maxChunkLine)
		}
		return errMoreNeeded
	}
	if i < 2 || b[i-1] != '\r' {
		return refuse(400, "a chunk's first line does not end in CRLF")
	}
	size, digits := parseHex(b[:i-1])
	if digits == 0 || digits > 15 {
		return refuse(400, "a chunk's size is not a hexadecimal number")
	}
	if r := c.checkExtensions(b[digits : i-1]); r != nil {
		return r
	}
	r.Discard(i + 1)
	c.left, c.state = size, chunkData
	if size == 0 {
		c.state = chunkTrailer
	}
	return nil
}

// checkExtensions holds chunk extensions, which are passed over, to visible bytes and to a sum.
func (c *chunked) checkExtensions(ext []byte) *Refusal {
	if len(ext) == 0 {
		return nil
	}
	c.extensions += len(ext)
	if ext[0] != ';' || c.extensions > maxExtensions {
		return refuse(400, "a chunk's size is followed by what is no extension, or by too many")
	}
	for _, b := range ext {
		if b < 0x20 && b != '\t' || b >= 0x7f {
			return refuse(400, "a chunk extension has the byte %#02x", b)
		}
	}
	return nil
}

func (c *chunked) readEnd(r *Reader) error {
	b := r.Buffered()
	if len(b) > 0 && b[0] != '\r' || len(b) > 1 && b[1] != '\n' {
		return refuse(400, "a chunk is longer than its size")
	}
	if len(b) < 2 {
		return errMoreNeeded
	}
	r.Discard(2)
	c.state = chunkSize
	return nil
}

// readTrailer takes the trailer section as a whole, so that it is read by the rules of a head.
func (c *chunked) readTrailer(r *Reader) error {
	// What is a head's first line to the finder is a field here.
	f := headFinder{limits: Limits{HeadBytes: strict.MaxTrailerBytes, TargetBytes: strict.MaxTrailerBytes, Fields: strict.MaxTrailers - 1}}
	n, refusal := f.find(r.Buffered())
	if refusal != nil {
		return refuse(400, "trailer: %s", refusal.Reason)
	}
	if n == 0 {
		return errMoreNeeded
	}
	if n > 2 {
		if c.trailer, refusal = scanFields(string(r.Buffered()[:n]), nil); refusal != nil {
			return refuse(400, "trailer: %s", refusal.Reason)
		}
	}
	r.Discard(n)
	c.state = chunkDone
	return nil
}

// parseHex reads the hexadecimal digits at the front of b; more than 15 are reported but not added up.
func parseHex(b []byte) (n int64, digits int) {
	for ; digits < len(b); digits++ {
		d := hexDigit(b[digits])
		if d < 0 {
			break
		}
		if digits < 15 {
			n = n<<4 | int64(d)
		}
	}
	return n, digits
}
