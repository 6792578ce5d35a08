// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"encoding/binary"
	"net/netip"
)

// Subnet is the Client Subnet option of a query (RFC 7871, section 6). The zero value is "none".
type Subnet struct {
	raw    []byte // the option's data as it came, for the echo
	prefix netip.Prefix
}

// Present reports whether the query had the option. Only then may the answer have it (RFC 7871, section 7.2.2).
func (s *Subnet) Present() bool { return s.raw != nil }

// Prefix returns what the client showed of its address. ok is false if there is no option or it shows nothing: with a
// source prefix length of 0 the resolver's own address is what is left (RFC 7871, section 7.1.2).
func (s *Subnet) Prefix() (p netip.Prefix, ok bool) { return s.prefix, s.prefix.Bits() > 0 }

// parse checks the option's data. RFC 7871, section 7.2.1 wants FORMERR for every malformation.
func (s *Subnet) parse(b []byte) error {
	if len(b) < 4 || b[3] != 0 { // the scope is the answer's to set
		return ErrFormat
	}
	source := int(b[2])
	address := b[4:]
	var addr netip.Addr
	switch family := binary.BigEndian.Uint16(b); {
	case family == 1 && source <= 32:
		var a [4]byte
		copy(a[:], address)
		addr = netip.AddrFrom4(a)
	case family == 2 && source <= 128:
		var a [16]byte
		copy(a[:], address)
		addr = netip.AddrFrom16(a)
	case family == 0 && source == 0:
		// dig and BIND write "nothing to show" so.
	default:
		return ErrFormat
	}
	if len(address) != (source+7)/8 {
		return ErrFormat
	}
	if addr.IsValid() {
		p := netip.PrefixFrom(addr, source)
		if p.Masked() != p { // bits beyond the source prefix must be 0
			return ErrFormat
		}
		s.prefix = p
	}
	s.raw = b
	return nil
}
