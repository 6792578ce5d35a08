// SPDX-License-Identifier: Apache-2.0

package exchange

import (
	"slices"
	"strings"
)

// Field is one header or trailer field. Names keep the sender's spelling and compare without regard to case.
type Field struct{ Name, Value string }

// Header is a list of fields in order, with repetitions. A linear scan beats a map at the dozen fields that a request has.
type Header []Field

// Get returns the value of the first field of that name, or "".
func (h Header) Get(name string) string {
	for i := range h {
		if equalName(h[i].Name, name) {
			return h[i].Value
		}
	}
	return ""
}

// Count returns how many fields have the name.
func (h Header) Count(name string) int {
	n := 0
	for i := range h {
		if equalName(h[i].Name, name) {
			n++
		}
	}
	return n
}

// Add appends a field.
func (h *Header) Add(name, value string) { *h = append(*h, Field{name, value}) }

// Del removes all fields of the name.
func (h *Header) Del(name string) {
	*h = slices.DeleteFunc(*h, func(f Field) bool { return equalName(f.Name, name) })
}

// HasToken reports whether a field of the name lists the token, as RFC 9110, section 5.6.1 writes lists.
func (h Header) HasToken(name, token string) bool {
	for i := range h {
		if equalName(h[i].Name, name) && ListHas(h[i].Value, token) {
			return true
		}
	}
	return false
}

// ListHas reports whether a comma-separated list has the token, without regard to case.
func ListHas(list, token string) bool {
	for item := range strings.SplitSeq(list, ",") {
		if equalName(strings.Trim(item, " \t"), token) {
			return true
		}
	}
	return false
}

// equalName compares two field names; most pairs differ in length.
func equalName(a, b string) bool { return len(a) == len(b) && (a == b || strings.EqualFold(a, b)) }
