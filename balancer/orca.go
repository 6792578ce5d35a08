// SPDX-License-Identifier: Apache-2.0

package balancer

import (
	"encoding/binary"
	"math"
)

// The fields of xds.data.orca.v3.OrcaLoadReport that are read, and of an entry of its maps.
const (
	orcaCPU         = 1 // double
	orcaUtilization = 5 // map of text to double
	orcaNamed       = 8 // map of text to double
	orcaApplication = 9 // double
	orcaValue       = 2 // of an entry
)

// The wire types of protocol buffers.
const (
	wireVarint  = 0
	wireFixed64 = 1
	wireBytes   = 2
	wireFixed32 = 5
)

// ParseORCA reads a report in the binary form, OrcaLoadReport, of which it takes what the text form has names for. Fields that it doesn't
// know are passed over, values below zero or not finite are taken as not said. ok is false for what is no such message; the caller
// bounds its length.
func ParseORCA(b []byte) (r Reported, ok bool) {
	for len(b) > 0 {
		f, rest, ok := nextField(b)
		if !ok {
			return Reported{}, false
		}
		b = rest
		switch {
		case f.wire == wireFixed64 && f.number == orcaCPU:
			r.CPU = share(f.fixed)
		case f.wire == wireFixed64 && f.number == orcaApplication:
			r.Application = share(f.fixed)
		case f.wire == wireBytes && (f.number == orcaUtilization || f.number == orcaNamed):
			v, ok := entryValue(f.bytes)
			if !ok {
				return Reported{}, false
			}
			r.Named = max(r.Named, v)
		}
	}
	return r, true
}

// entryValue returns the value of an entry of a map, 0 where it has none.
func entryValue(b []byte) (v float64, ok bool) {
	for len(b) > 0 {
		f, rest, ok := nextField(b)
		if !ok {
			return 0, false
		}
		b = rest
		if f.wire == wireFixed64 && f.number == orcaValue {
			v = share(f.fixed)
		}
	}
	return v, true
}

func share(bits uint64) float64 {
	v := math.Float64frombits(bits)
	if !(v >= 0) || math.IsInf(v, 0) {
		return 0
	}
	return v
}

// protoField is one field of a message.
type protoField struct {
	number uint64
	wire   uint64
	fixed  uint64 // of wireFixed64
	bytes  []byte // of wireBytes, a part of the message
}

// nextField reads the first field of a message. Groups, which nobody uses any more, are not read.
func nextField(b []byte) (f protoField, rest []byte, ok bool) {
	tag, n := binary.Uvarint(b)
	if n <= 0 || tag>>3 == 0 {
		return f, nil, false
	}
	f.number, f.wire, b = tag>>3, tag&7, b[n:]
	skip := 0
	switch f.wire {
	case wireVarint:
		_, skip = binary.Uvarint(b)
	case wireFixed64:
		skip = 8
	case wireFixed32:
		skip = 4
	case wireBytes:
		size, n := binary.Uvarint(b)
		if n <= 0 || size > uint64(len(b)-n) {
			return f, nil, false
		}
		f.bytes, skip = b[n:n+int(size)], n+int(size)
	}
	if skip <= 0 || skip > len(b) {
		return f, nil, false
	}
	if f.wire == wireFixed64 {
		f.fixed = binary.LittleEndian.Uint64(b)
	}
	return f, b[skip:], true
}
