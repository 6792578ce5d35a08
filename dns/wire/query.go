// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"encoding/binary"
	"errors"
)

// What Parse returns beside nil. None is ever wrapped.
var (
	// ErrIgnore asks for silence: the message is no query, or too short to answer.
	ErrIgnore = errors.New("dns message is not a query")
	// ErrFormat asks for FORMERR.
	ErrFormat = errors.New("dns query is malformed")
	// ErrOpcode asks for NOTIMP.
	ErrOpcode = errors.New("dns opcode is not implemented")
	// ErrVersion asks for BADVERS.
	ErrVersion = errors.New("edns version is not implemented")
)

// Query is a parsed query. Its slices alias the message.
type Query struct {
	ID     uint16
	Opcode uint8
	RD     bool // to be copied into the answer
	// Question is the question section verbatim, so that an answer repeats the case of every letter. Empty: it could not
	// be read.
	Question []byte
	// Name is the asked name in wire form, as it was spelled.
	Name  []byte
	Type  uint16
	Class uint16
	// EDNS says that one well-formed OPT came with the query; the fields below are its.
	EDNS    bool
	UDPSize uint16 // as offered, at least MinUDPBytes
	DO      bool
	NSID    bool // RFC 5001: the answer may carry the server's identity
	Subnet  Subnet
	// Size is the length of the message in bytes.
	Size int
}

// Parse reads the query in m. With an error other than ErrIgnore q holds as much as could be read, for the refusal to
// repeat. Every byte of m must be accounted for: what comes behind the last record is a mistake too.
func (q *Query) Parse(m []byte) error {
	*q = Query{Size: len(m)}
	if len(m) < HeaderBytes || m[2]&0x80 != 0 {
		return ErrIgnore // to answer an answer is to start a loop
	}
	q.ID = binary.BigEndian.Uint16(m)
	q.Opcode = m[2] >> 3 & 0xf
	q.RD = m[2]&1 != 0
	if q.Opcode != 0 {
		return ErrOpcode
	}
	// RFC 9619, section 4: one question, no more and no less.
	if binary.BigEndian.Uint16(m[4:]) != 1 {
		return ErrFormat
	}
	end, ok := nameEnd(m, HeaderBytes)
	if !ok || end+4 > len(m) {
		return ErrFormat
	}
	q.Name = m[HeaderBytes:end]
	q.Question = m[HeaderBytes : end+4]
	q.Type = binary.BigEndian.Uint16(m[end:])
	q.Class = binary.BigEndian.Uint16(m[end+2:])
	return q.parseRecords(m, end+4)
}

// parseRecords walks what follows the question. Only OPT means something to an authority; IXFR brings a SOA.
func (q *Query) parseRecords(m []byte, off int) error {
	answers, authorities := binary.BigEndian.Uint16(m[6:]), binary.BigEndian.Uint16(m[8:])
	if answers != 0 || authorities > 1 || (authorities == 1 && q.Type != TypeIXFR) {
		return ErrFormat
	}
	opt, seen := record{}, false
	for i := range int(authorities) + int(binary.BigEndian.Uint16(m[10:])) {
		r, next, ok := readRecord(m, off)
		if !ok {
			return ErrFormat
		}
		if r.typ == TypeOPT {
			// RFC 6891, section 6.1.1: at most one, owned by the root, in the additional section.
			if seen || !r.rootOwner || i < int(authorities) {
				return ErrFormat
			}
			opt, seen = r, true
		}
		off = next
	}
	if off != len(m) {
		return ErrFormat
	}
	if seen {
		return q.parseOPT(opt)
	}
	return nil
}

// record is one record of a query; data aliases the message.
type record struct {
	rootOwner bool
	typ       uint16
	class     uint16
	ttl       uint32
	data      []byte
}

func readRecord(m []byte, off int) (r record, next int, ok bool) {
	end, ok := skipName(m, off)
	if !ok || end+10 > len(m) {
		return record{}, 0, false
	}
	n := int(binary.BigEndian.Uint16(m[end+8:]))
	if end+10+n > len(m) {
		return record{}, 0, false
	}
	return record{
		rootOwner: m[off] == 0,
		typ:       binary.BigEndian.Uint16(m[end:]),
		class:     binary.BigEndian.Uint16(m[end+2:]),
		ttl:       binary.BigEndian.Uint32(m[end+4:]),
		data:      m[end+10 : end+10+n],
	}, end + 10 + n, true
}
