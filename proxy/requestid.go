// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"encoding/binary"
	"math/rand/v2"
	"unsafe"
)

// idField carries the id of a request: to its node, where it is the same for every try, and into the access log and explanations. A
// trusted proxy's is kept, so that one request has one id all the way; anybody else's is replaced, or a client could pass its requests
// off as another's. As with Envoy, the client is not told of it, unless the node says it or an explanation was asked for.
const idField = "X-Request-Id"

const (
	idBytes = 36 // of one that the edge makes: a UUID, version 4 (RFC 9562, section 5.4)
	maxID   = 128
)

// nameIt gives the request its id, which is valid until the relay is released.
func (r *relay) nameIt() {
	if r.origin.trusted {
		if id := single(r.x.Header, idField); validID(id) {
			r.id = id
			return
		}
	}
	makeID(&r.idText, rand.Uint64(), rand.Uint64())
	r.id = unsafe.String(&r.idText[0], len(r.idText)) // in place, as the strings of a head: see http1's arena
}

// validID reports whether an id can stand in a log, in a command and in a URL as it is.
func validID(s string) bool {
	if s == "" || len(s) > maxID {
		return false
	}
	for i := 0; i < len(s); i++ {
		b := s[i]
		if !(b|0x20 >= 'a' && b|0x20 <= 'z' || b >= '0' && b <= '9' || i > 0 && (b == '-' || b == '_' || b == '.' || b == ':')) {
			return false
		}
	}
	return true
}

// makeID writes a UUID of 122 random bits.
func makeID(dst *[idBytes]byte, hi, lo uint64) {
	const hex = "0123456789abcdef"
	hi = hi&^0xf000 | 0x4000
	lo = lo&^(3<<62) | 1<<63
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], hi)
	binary.BigEndian.PutUint64(b[8:], lo)
	at := 0
	for i, v := range b {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			dst[at] = '-'
			at++
		}
		dst[at], dst[at+1] = hex[v>>4], hex[v&15]
		at += 2
	}
}
