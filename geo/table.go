// SPDX-License-Identifier: Apache-2.0

package geo

import (
	"encoding/binary"
	"net/netip"
	"time"
)

// The ids that every Table has; places follow.
const (
	idUnknown uint32 = iota
	// idCarrier marks the IPv6 ranges whose addresses carry an IPv4 address, see carrier.go. Being part of the runs, they
	// cost the lookup of other addresses nothing, and no prefix can reach across them.
	idCarrier
	idPlaces
)

// Table is a read-only map from addresses to places. It is made by Decode or by a Builder, and safe for concurrent use.
type Table struct {
	places []Place // by id, without Prefix
	v4     runs[uint32]
	v6     runs[uint64] // upper 64 bits of the address
	built  time.Time
	source string
}

// Locate returns the place of a. IPv4-mapped addresses, NAT64 (RFC 6052, section 2.1), 6to4 (RFC 3056, section 2) and
// Teredo (RFC 4380, section 4) are looked up by the IPv4 address that they carry. An address that the table does not
// know has Known false and the largest prefix that is as unknown; the zero Addr has no prefix. It does not allocate.
func (t *Table) Locate(a netip.Addr) (p Place) {
	if a.Is4() || a.Is4In6() {
		b := a.As4()
		t.locate4(binary.BigEndian.Uint32(b[:]), &p)
		return p
	}
	if !a.IsValid() {
		return Place{Source: t.source}
	}
	b := a.As16()
	hi, lo := binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])
	i := t.v6.find(hi)
	id := t.v6.id[i]
	if id == idCarrier {
		t.locateCarried(hi, lo, &p)
		return p
	}
	p = t.places[id]
	p.Prefix = prefix6(hi, 0, t.v6.prefixBits(i, hi))
	return p
}

// locate4 fills p rather than returning it, because copying a Place costs more than finding it.
func (t *Table) locate4(a uint32, p *Place) {
	i := t.v4.find(a)
	*p = t.places[t.v4.id[i]]
	p.Prefix = prefix4(a, t.v4.prefixBits(i, a))
}

// Built returns the date of the data, in UTC, for a report of its age. The zero time if the source did not say.
func (t *Table) Built() time.Time { return t.built }

// Source returns what Locate puts into Place.Source.
func (t *Table) Source() string { return t.source }

// Len returns the number of runs of IPv4 and IPv6 addresses: the size of the table.
func (t *Table) Len() (v4, v6 int) { return len(t.v4.start), len(t.v6.start) }

func prefix4(a uint32, bits int) netip.Prefix {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], uint32(uint64(a)&^(1<<(32-bits)-1)))
	return netip.PrefixFrom(netip.AddrFrom4(b), bits)
}

// prefix6 returns the prefix of the given length, 0 to 128, around the address hi:lo.
func prefix6(hi, lo uint64, bits int) netip.Prefix {
	if bits <= 64 {
		hi, lo = hi&^(1<<(64-bits)-1), 0 // a shift by 64 is 0, so /0 clears all
	} else {
		lo &^= 1<<(128-bits) - 1
	}
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], hi)
	binary.BigEndian.PutUint64(b[8:], lo)
	return netip.PrefixFrom(netip.AddrFrom16(b), bits)
}
