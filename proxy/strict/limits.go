// SPDX-License-Identifier: Apache-2.0

package strict

// Bounds of the fields behind a body, in every version of HTTP. Ours.
const (
	MaxTrailerBytes = 8 << 10 // the empty line of HTTP/1.1, or 32 bytes for each field of later versions, included
	MaxTrailers     = 32
)

// Limits bound a message's head. Zero fields have the defaults.
type Limits struct {
	// HeadBytes bounds the whole head, its last empty line included. Zero: 32 KiB, as the Go team advises against header bombs.
	HeadBytes int
	// Fields bounds the number of fields. Zero: 100.
	Fields int
	// TargetBytes bounds the request line. Zero: 8 KiB, the least that RFC 9112, section 3 asks for.
	TargetBytes int
}

// WithDefaults returns l with every zero field replaced by its default.
func (l Limits) WithDefaults() Limits {
	if l.HeadBytes <= 0 {
		l.HeadBytes = 32 << 10
	}
	if l.Fields <= 0 {
		l.Fields = 100
	}
	if l.TargetBytes <= 0 {
		l.TargetBytes = 8 << 10
	}
	return l
}
