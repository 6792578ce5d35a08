// SPDX-License-Identifier: Apache-2.0

package http2

import (
	"strings"

	"golang.org/x/net/http2/hpack"
)

// saidMost bounds the fields that are remembered, and saidBytes the length of a value of theirs. Ours: about what the table
// of header compression holds.
const (
	saidMost  = 64
	saidBytes = 256
)

// said remembers the fields that a connection's answers had last. The encoder keeps the strings that it is given in its table
// for later answers, while those of an answer are valid only until its exchange ends, so each has to be copied; but most
// answers say mostly what the one before said.
type said map[string]hpack.HeaderField

// lasting returns the field in strings that nothing else uses.
func (s *said) lasting(name, value string) hpack.HeaderField {
	if f, ok := (*s)[name]; ok && f.Value == value {
		return f
	}
	f := hpack.HeaderField{Name: strings.Clone(name), Value: strings.Clone(value)}
	if *s == nil {
		*s = said{}
	}
	if _, known := (*s)[name]; (known || len(*s) < saidMost) && len(name)+len(value) <= saidBytes {
		(*s)[f.Name] = f
	}
	return f
}
