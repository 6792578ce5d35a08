// SPDX-License-Identifier: Apache-2.0

package geo

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
	"testing"
)

func TestAnIPv6AddressThatCarriesAnIPv4AddressIsLookedUpByIt(t *testing.T) {
	inner := netip.MustParseAddr("81.2.69.160")
	v := binary.BigEndian.Uint32(inner.AsSlice())
	want := Embedded().Locate(inner)
	length := want.Prefix.Bits()
	for _, c := range []struct {
		name   string
		hi, lo uint64
		bits   int
	}{
		{"NAT64", nat64, uint64(v), 96 + length},
		{"6to4", sixToFour | uint64(v)<<16, 1, 16 + length},
		{"Teredo", 0x2001_0000_4136_e378, 0x8000_63bf<<32 | uint64(^v), 96 + length},
	} {
		a := prefix6(c.hi, c.lo, 128).Addr()
		got := Embedded().Locate(a)
		if plain(got) != plain(want) || got.Prefix.Bits() != c.bits || !got.Prefix.Contains(a) {
			t.Errorf("%s: Locate(%v) = %+v, want %+v with /%d", c.name, a, got, want, c.bits)
		}
	}
	mapped := netip.AddrFrom16(inner.As16())
	if got := Embedded().Locate(mapped); got != want {
		t.Errorf("Locate(%v) = %+v, want the very place of %v: %+v", mapped, got, inner, want)
	}
}

func TestAddressesBesideCarriedOnesAreUnknown(t *testing.T) {
	for s, length := range map[string]int{"64:ff9b::1:0:0": 64 + bits.LeadingZeros64(1<<32) + 1, "::1": 81, "::fffe:0:0": 96, "::8000:0:0:0": 65} {
		if p := Embedded().Locate(netip.MustParseAddr(s)); p.Known || p.Prefix.Bits() != length {
			t.Errorf("Locate(%s) = %+v, want unknown with /%d", s, p, length)
		}
	}
}
