// SPDX-License-Identifier: Apache-2.0

package wire

// nameEnd returns the offset behind the uncompressed name at off. ok is false for a name that runs out of m, is longer
// than MaxNameBytes or holds a pointer or a reserved label type: nothing stands before a question that a pointer could
// refer to.
func nameEnd(m []byte, off int) (end int, ok bool) {
	for i := off; i < len(m) && i-off < MaxNameBytes; {
		n := int(m[i])
		if n == 0 {
			return i + 1, true
		}
		if n > 63 {
			return 0, false
		}
		i += n + 1
	}
	return 0, false
}

// skipName returns the offset behind the name of a record at off. A pointer ends the name and is not followed, so the
// cost is bounded by the message.
func skipName(m []byte, off int) (end int, ok bool) {
	for i := off; i < len(m) && i-off < MaxNameBytes; {
		switch n := int(m[i]); {
		case n == 0:
			return i + 1, true
		case n >= 0xc0:
			// A pointer must go backwards, behind the header (RFC 1035, section 4.1.4).
			if i+2 > len(m) || (n&0x3f)<<8|int(m[i+1]) >= off || (n&0x3f)<<8|int(m[i+1]) < HeaderBytes {
				return 0, false
			}
			return i + 2, true
		case n > 63:
			return 0, false
		default:
			i += n + 1
		}
	}
	return 0, false
}

// AppendLower appends the name in lower case (RFC 4343, section 3: only ASCII letters fold). Length bytes are below 64 and
// are not touched.
func AppendLower(dst, name []byte) []byte {
	for _, b := range name {
		if b >= 'A' && b <= 'Z' {
			b += 'a' - 'A'
		}
		dst = append(dst, b)
	}
	return dst
}

// AppendLabels appends the labels of a host name in presentation form (no escapes, no final dot) without the root label.
// ok is false if a label is empty or longer than 63 bytes.
func AppendLabels(dst []byte, host string) (out []byte, ok bool) {
	for len(host) > 0 {
		n := 0
		for n < len(host) && host[n] != '.' {
			n++
		}
		if n == 0 || n > 63 || n == len(host)-1 {
			return dst, false
		}
		dst = append(dst, byte(n))
		dst = append(dst, host[:n]...)
		host = host[min(n+1, len(host)):]
	}
	return dst, true
}
