// SPDX-License-Identifier: Apache-2.0

// Package wire reads DNS queries from strangers' bytes and writes answers: header, question, EDNS, Client Subnet and the
// few shapes of records that a routing authority gives. It never allocates and never follows a compression pointer.
//
// It leaves to package dns what to answer, and knows no zone, topology or socket. It is pure and starts no goroutine.
//
//	var q wire.Query
//	if err := q.Parse(packet); err == wire.ErrIgnore {
//		return nil
//	}
//	w := wire.NewWriter(buf[:0], &q, limit)
//	w.Address(wire.Answer, wire.Name{Suffix: wire.Suffix(len(q.Name))}, 30, netip.MustParseAddr("192.0.2.1"))
//	out, truncated := w.Finish(wire.Reply{Authoritative: true})
package wire

// From the specifications.
const (
	// HeaderBytes is the size of a header (RFC 1035, section 4.1.1).
	HeaderBytes = 12
	// MaxNameBytes is the longest name in wire form, the root label included (RFC 1035, section 2.3.4).
	MaxNameBytes = 255
	// MinUDPBytes is what every requestor takes over UDP without EDNS (RFC 1035, section 2.3.4).
	MinUDPBytes = 512
	// MaxMessageBytes is the longest message, by TCP's length prefix (RFC 1035, section 4.2.2).
	MaxMessageBytes = 65535
)

// Ours.
const (
	// MaxUDPBytes is the longest answer over UDP and the size that OPT offers: what passes every path unfragmented.
	MaxUDPBytes = 1232
	// MaxQueryBytes is the longest query that is read. A query that an authority can answer is a question, an OPT and
	// perhaps padding in blocks of 128 (RFC 8467).
	MaxQueryBytes = 4096
)

// The types and classes that this package or its caller treat on their own.
const (
	TypeA      uint16 = 1
	TypeNS     uint16 = 2
	TypeSOA    uint16 = 6
	TypeHINFO  uint16 = 13
	TypeAAAA   uint16 = 28
	TypeOPT    uint16 = 41
	TypeDS     uint16 = 43
	TypeNXNAME uint16 = 128 // RFC 9824, section 3.4
	TypeTKEY   uint16 = 249
	TypeTSIG   uint16 = 250
	TypeIXFR   uint16 = 251
	TypeAXFR   uint16 = 252
	TypeANY    uint16 = 255

	ClassIN uint16 = 1
)

// The response codes in use. BADVERS needs the upper bits in OPT (RFC 6891, section 6.1.3).
const (
	NoError  uint16 = 0
	FormErr  uint16 = 1
	ServFail uint16 = 2
	NXDomain uint16 = 3
	NotImp   uint16 = 4
	Refused  uint16 = 5
	BadVers  uint16 = 16
)

// The extended errors in use (RFC 8914, section 5.2). EDENone is ours: code 0 is "Other" there, which is never sent.
const (
	EDENone             uint16 = 0
	EDENotReady         uint16 = 14
	EDENotAuthoritative uint16 = 20
)
