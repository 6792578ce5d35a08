// SPDX-License-Identifier: Apache-2.0

package strict

import (
	"strconv"
	"strings"
)

// The bytes of which field names and values are made.
var (
	// TokenByte holds the tchar of RFC 9110, section 5.6.2.
	TokenByte = table(func(b byte) bool {
		return b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9' || strings.IndexByte("!#$%&'*+-.^_`|~", b) >= 0
	})
	// ValueByte holds what may be in a field's value: RFC 9110, section 5.5.
	ValueByte = table(func(b byte) bool { return b >= 0x20 && b != 0x7f || b == '\t' })
)

func table(f func(byte) bool) (t [256]bool) {
	for i := range t {
		t[i] = f(byte(i))
	}
	return t
}

// IsToken reports whether s is a token of RFC 9110, section 5.6.2.
func IsToken(s string) bool {
	for i := 0; i < len(s); i++ {
		if !TokenByte[s[i]] {
			return false
		}
	}
	return s != ""
}

// IsValue reports whether s is a field's value without white space around it: RFC 9110, section 5.5.
func IsValue(s string) bool {
	for i := 0; i < len(s); i++ {
		if !ValueByte[s[i]] {
			return false
		}
	}
	return s == "" || !isBlank(s[0]) && !isBlank(s[len(s)-1])
}

func isBlank(b byte) bool { return b == ' ' || b == '\t' }

// ParseLength reads 1*DIGIT that fits an int64. strconv alone would take a sign.
func ParseLength(s string) (int64, bool) {
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil
}

// SameName compares two names without regard to case.
func SameName(a, b string) bool { return len(a) == len(b) && (a == b || strings.EqualFold(a, b)) }
