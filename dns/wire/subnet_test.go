// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"
)

func TestClientSubnetIsCheckedToTheLetter(t *testing.T) {
	cases := []struct {
		name, hex string
		want      string // the prefix, "none" or "malformed"
	}{
		{"IPv4", "0001 18 00 510245", "81.2.69.0/24"},
		{"IPv4, whole", "0001 20 00 510245a0", "81.2.69.160/32"},
		{"IPv4, odd length", "0001 13 00 510240", "81.2.64.0/19"},
		{"IPv6", "0002 38 00 20010db8000100", "2001:db8:1::/56"},
		{"nothing shown", "0001 00 00", "none"},
		{"nothing shown, IPv6", "0002 00 00", "none"},
		{"nothing shown, no family", "0000 00 00", "none"},
		{"short", "0001 18", "malformed"},
		{"empty", "", "malformed"},
		{"a scope in a query", "0001 18 18 510245", "malformed"},
		{"a source of 33 bits", "0001 21 00 510245a0 00", "malformed"},
		{"a source of 129 bits", "0002 81 00" + strings.Repeat("00", 17), "malformed"},
		{"family 9", "0009 18 00 510245", "malformed"},
		{"family 9 that shows nothing", "0009 00 00", "malformed"},
		{"no family but an address", "0000 08 00 51", "malformed"},
		{"an address that is too short", "0001 18 00 5102", "malformed"},
		{"an address that is too long", "0001 18 00 51024500", "malformed"},
		{"bits beyond the source", "0001 13 00 510245", "malformed"},
		{"bits beyond an IPv6 source", "0002 31 00 20010db8000101", "malformed"},
	}
	for _, c := range cases {
		b, err := hex.DecodeString(strings.ReplaceAll(c.hex, " ", ""))
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		var s Subnet
		got := "malformed"
		if s.parse(b) == nil {
			got = "none"
			if p, ok := s.Prefix(); ok {
				got = p.String()
			}
			if !s.Present() {
				t.Errorf("%s: the option is taken but not present", c.name)
			}
		}
		if got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
}

func FuzzSubnet(f *testing.F) {
	f.Add([]byte{0, 1, 24, 0, 81, 2, 69})
	f.Add([]byte{0, 2, 56, 0, 0x20, 1, 0xd, 0xb8, 0, 1, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		var s Subnet
		if s.parse(b) != nil {
			return
		}
		if p, ok := s.Prefix(); ok && (p != p.Masked() || p.Bits() != int(b[2]) || p == (netip.Prefix{})) {
			t.Fatalf("%x gives %s", b, p)
		}
	})
}
