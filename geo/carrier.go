// SPDX-License-Identifier: Apache-2.0

package geo

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
)

// The IPv6 ranges that carry IPv4 addresses, by the upper 64 bits of their first and last address.
const (
	zeros     uint64 = 0                     // ::/64, with IPv4-mapped ::ffff:0:0/96 (RFC 4291, section 2.5.5.2) inside
	nat64     uint64 = 0x0064_ff9b_0000_0000 // 64:ff9b::/64, with NAT64's 64:ff9b::/96 (RFC 6052, section 2.1) inside
	teredo    uint64 = 0x2001_0000_0000_0000 // 2001::/32 (RFC 4380, section 2.6)
	teredoEnd uint64 = 0x2001_0000_ffff_ffff
	sixToFour uint64 = 0x2002_0000_0000_0000 // 2002::/16 (RFC 3056, section 2)
	sixToEnd  uint64 = 0x2002_ffff_ffff_ffff
)

// mappedLow is the part of ::ffff:0:0/96 between its upper 64 bits and the IPv4 address, as the lower 64 bits.
const mappedLow uint64 = 0xffff << 32

// carve marks the ranges that carry IPv4 addresses, whatever the data say of them.
func carve(r runs[uint64]) runs[uint64] {
	r = r.replace(zeros, zeros, idCarrier)
	r = r.replace(nat64, nat64, idCarrier)
	r = r.replace(teredo, teredoEnd, idCarrier)
	return r.replace(sixToFour, sixToEnd, idCarrier)
}

// carried reports whether p lies within one of these ranges.
func carried(p netip.Prefix) bool {
	if p.Addr().Is4() {
		return false
	}
	a := p.Addr().As16()
	hi := binary.BigEndian.Uint64(a[:8])
	switch bits := p.Bits(); {
	case bits >= 64 && (hi == zeros || hi == nat64):
		return true
	case bits >= 32 && hi>>32 == teredo>>32:
		return true
	}
	return p.Bits() >= 16 && hi>>48 == sixToFour>>48
}

// locateCarried looks up the IPv4 address in hi:lo, an address of one of the ranges above, and translates the prefix
// back into the family that was asked.
func (t *Table) locateCarried(hi, lo uint64, p *Place) {
	switch {
	case hi>>48 == sixToFour>>48: // 2002:V4ADDR::/48
		t.locate4(uint32(hi>>16), p)
		p.Prefix = prefix6(hi, lo, 16+p.Prefix.Bits())
	case hi>>32 == teredo>>32: // the client's address is last, its bits inverted (RFC 4380, section 4)
		t.locate4(^uint32(lo), p)
		p.Prefix = prefix6(hi, lo, 96+p.Prefix.Bits())
	case hi == nat64 && lo>>32 == 0:
		t.locate4(uint32(lo), p)
		p.Prefix = prefix6(hi, lo, 96+p.Prefix.Bits())
	default:
		// Beside the /96 within its /64: unknown up to the first bit that differs from the /96.
		beside := lo
		if hi == zeros {
			beside ^= mappedLow
		}
		*p = t.places[idUnknown]
		p.Prefix = prefix6(hi, lo, 64+bits.LeadingZeros64(beside)+1)
	}
}
