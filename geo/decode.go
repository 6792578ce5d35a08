// SPDX-License-Identifier: Apache-2.0

package geo

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

var errTruncated = errors.New("ends too early")

// decodeBody reads what follows the header. It trusts nothing, though the checksum has matched by then: that only says
// that the bytes are those that were written.
func decodeBody(source string, built time.Time, body []byte) (*Table, error) {
	c := &cursor{b: body}
	b := NewBuilder(source, built)
	n := c.count(maxCountries, 2)
	for range n {
		code := string(c.take(2))
		if c.err != nil {
			break
		}
		place, _ := Country(code)
		before := len(b.t.places)
		if b.place(place); len(b.t.places) == before {
			return nil, fmt.Errorf("country %q occurs twice", code)
		}
	}
	decodeRuns(c, &b.t.v4, n)
	decodeRuns(c, &b.t.v6, n)
	if c.err == nil && len(c.b) > 0 {
		c.err = fmt.Errorf("%d bytes too many", len(c.b))
	}
	if c.err != nil {
		return nil, c.err
	}
	return b.t.seal(), nil
}

func decodeRuns[K uint32 | uint64](c *cursor, r *runs[K], countries int) {
	n := c.count(MaxRuns, 1)
	if c.err == nil && n == 0 {
		c.err = errors.New("a family without runs")
	}
	if c.err != nil {
		return
	}
	r.start, r.id = make([]K, 0, n), make([]uint32, 0, n)
	zeros := c.take(n - 1)
	at := uint64(0)
	starts := make([]K, n)
	for i := range zeros {
		length := c.length(zeros[i], r.width(), at)
		at += length
		starts[i+1] = K(at)
	}
	for i, id := range c.take(n) {
		if int(id) > countries {
			c.err = fmt.Errorf("country number %d of %d", id, countries)
			return
		}
		if id != 0 {
			id += byte(idPlaces) - 1
		}
		r.add(starts[i], uint32(id))
	}
}

// cursor reads fields from b until the first error, which it keeps; all later reads give zeros.
type cursor struct {
	b   []byte
	err error
}

// take returns the next n bytes, or nil.
func (c *cursor) take(n int) []byte {
	if c.err == nil && len(c.b) < n {
		c.err = errTruncated
	}
	if c.err != nil {
		return nil
	}
	out := c.b[:n]
	c.b = c.b[n:]
	return out
}

func (c *cursor) uvarint() uint64 {
	if c.err != nil {
		return 0
	}
	v, n := binary.Uvarint(c.b)
	if n <= 0 {
		c.err = errTruncated
		return 0
	}
	c.b = c.b[n:]
	return v
}

// count reads a number of things that take at least size bytes each, so that a wrong one cannot claim much memory.
func (c *cursor) count(limit, size int) int {
	n := c.uvarint()
	if c.err == nil && (n > uint64(limit) || n > uint64(len(c.b)/size)) {
		c.err = fmt.Errorf("a count of %d where %d bytes are left and at most %d are allowed", n, len(c.b), limit)
	}
	if c.err != nil {
		return 0
	}
	return int(n)
}

// length reads the length of a run that begins at the key at and has the given number of trailing zero bits. The run
// must not be empty and must leave a key for the last run.
func (c *cursor) length(zeros byte, width int, at uint64) uint64 {
	v := c.uvarint()
	if c.err != nil {
		return 0
	}
	limit := ^uint64(0)>>(64-width) - at
	if int(zeros) >= width || v == 0 || v > limit>>zeros {
		c.err = fmt.Errorf("a run of %d<<%d addresses at %#x", v, zeros, at)
		return 0
	}
	return v << zeros
}
