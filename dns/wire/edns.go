// SPDX-License-Identifier: Apache-2.0

package wire

import "encoding/binary"

// The options in use (RFC 6891, section 9).
const (
	optionNSID   uint16 = 3
	optionSubnet uint16 = 8
	optionCookie uint16 = 10
	optionEDE    uint16 = 15
)

// parseOPT reads the OPT record. Unknown options and flags are passed over (RFC 6891, sections 6.1.2 and 6.1.4).
func (q *Query) parseOPT(r record) error {
	q.EDNS = true
	q.UDPSize = max(r.class, MinUDPBytes)
	q.DO = r.ttl&0x8000 != 0
	if r.ttl>>16&0xff != 0 {
		return ErrVersion // before the options: another version may give them another form
	}
	for b := r.data; len(b) > 0; {
		if len(b) < 4 {
			return ErrFormat
		}
		code, n := binary.BigEndian.Uint16(b), int(binary.BigEndian.Uint16(b[2:]))
		if len(b) < 4+n {
			return ErrFormat
		}
		if err := q.parseOption(code, b[4:4+n]); err != nil {
			return err
		}
		b = b[4+n:]
	}
	return nil
}

func (q *Query) parseOption(code uint16, data []byte) error {
	switch code {
	case optionNSID:
		q.NSID = true
	case optionCookie:
		// RFC 7873, section 5.2.2: a client's 8 bytes, perhaps with a server's 8 to 32. Cookies are not yet answered.
		if n := len(data); n != 8 && (n < 16 || n > 40) {
			return ErrFormat
		}
	case optionSubnet:
		if q.Subnet.Present() {
			return ErrFormat // two subnets can't both be the client's
		}
		return q.Subnet.parse(data)
	}
	return nil
}
