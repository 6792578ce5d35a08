// SPDX-License-Identifier: Apache-2.0

package geo

import (
	"encoding/binary"
	"net/netip"
	"sync"
)

// reserved lists what is nobody's place: addresses that mean something else on every network or nothing on any, by the
// IANA special-purpose registries (RFC 6890), and IPv6 outside 2000::/3, the only block given out so far (RFC 4291,
// section 2.4). Public databases do put them somewhere: ip-location-db has 192.168.0.0/16 in Australia, as the
// registration of APNIC.
var reserved = sync.OnceValue(func() []netip.Prefix {
	var out []netip.Prefix
	for _, s := range []string{
		"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24",
		"192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3",
		"::/3", "2001:db8::/32", "3fff::/20", "4000::/2", "8000::/1",
	} {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
})

// forget makes the reserved ranges of t unknown, whatever the data say.
func (t *Table) forget() {
	for _, p := range reserved() {
		b := p.Addr().AsSlice()
		if p.Addr().Is4() {
			first := binary.BigEndian.Uint32(b)
			t.v4 = t.v4.replace(first, first|^uint32(0)>>p.Bits(), idUnknown)
		} else {
			first := binary.BigEndian.Uint64(b)
			t.v6 = t.v6.replace(first, first|^uint64(0)>>p.Bits(), idUnknown)
		}
	}
}
