// SPDX-License-Identifier: Apache-2.0

package http1

import (
	"sync"
	"unsafe"

	"meridian/proxy/exchange"
)

// arenaBytes is the length of the heads that an arena keeps its memory for, and arenaFields the number of their fields.
// Longer ones, which are rare, are left to the garbage collector. Ours.
const (
	arenaBytes  = 4 << 10
	arenaFields = 64
)

// arena holds the bytes of one head and the list of its fields, whose strings are parts of those bytes. It is used again
// for the next message: whoever keeps such a string beyond its exchange must clone it. That saves an allocation for each
// head, which is all that a proxied request would allocate.
type arena struct {
	bytes  []byte
	fields exchange.Header
}

// arenas are pooled: an idle connection owns none.
var arenas = sync.Pool{New: func() any { return new(arena) }}

// hold copies raw and returns it as a string that is valid until the next call, or until the arena is given back.
func (a *arena) hold(raw []byte) string {
	a.bytes = append(a.bytes[:0], raw...)
	return unsafe.String(unsafe.SliceData(a.bytes), len(a.bytes))
}

// giveBack takes the list of fields, which may have grown, and ends the life of all the strings.
func (a *arena) giveBack(fields exchange.Header) {
	if cap(a.bytes) > arenaBytes {
		a.bytes = nil
	}
	if cap(fields) > arenaFields {
		fields = nil
	}
	clear(fields[:cap(fields)])
	a.fields = fields[:0]
	arenas.Put(a)
}
