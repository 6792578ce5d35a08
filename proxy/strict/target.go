// SPDX-License-Identifier: Apache-2.0

package strict

import (
	"net/netip"
	"strings"
)

// ParseTarget reads a request target in origin-form, absolute-form or, for OPTIONS, asterisk-form (RFC 9112, section
// 3.2). authority is that of an absolute-form, else empty. The path that comes out is a part of what came in: nothing is
// decoded, joined or repaired, so that the router and the node cannot read two different paths.
func ParseTarget(method, target string) (origin, path, authority string, _ *Refusal) {
	origin = target
	if target == "*" && method == "OPTIONS" {
		return "*", "*", "", nil
	}
	if target[0] != '/' {
		scheme, rest, ok := strings.Cut(target, "://")
		if !ok || !strings.EqualFold(scheme, "http") && !strings.EqualFold(scheme, "https") {
			return "", "", "", Refuse(400, "the target %q is neither a path nor an http URL", Clip(target))
		}
		i := strings.IndexAny(rest, "/?")
		if i < 0 {
			i = len(rest)
		}
		authority, origin = rest[:i], rest[i:]
		if authority == "" {
			return "", "", "", Refuse(400, "the target names no host")
		}
		if origin == "" {
			origin = "/"
		} else if origin[0] == '?' {
			return "", "", "", Refuse(400, "the target has a query but no path")
		}
	}
	if strings.HasPrefix(origin, "//") && strings.Contains(origin, "://") {
		return "", "", "", Refuse(400, "the target can be read as one with another host") // as fasthttp does
	}
	path, query, _ := strings.Cut(origin, "?")
	if r := checkPath(path); r != nil {
		return "", "", "", r
	}
	return origin, path, authority, checkQuery(query)
}

// checkPath refuses what another program may read as another path: encoded separators and control bytes, dot segments
// in any spelling, bytes that are never UTF-8, and characters that RFC 3986, section 3.3 does not know.
func checkPath(path string) *Refusal {
	segment := 1
	for i := 0; i < len(path); i++ {
		switch b := path[i]; {
		case b == '/':
			if dotSegment(path[segment:max(i, segment)]) {
				return Refuse(400, "the path has a dot segment")
			}
			segment = i + 1
		case b == '%':
			if r := checkEncoded(path[i:]); r != nil {
				return r
			}
			if path[i+1] == '2' && path[i+2]|0x20 == 'f' { // the route says whether it may be there; it must hide no dots
				if dotSegment(path[segment:max(i, segment)]) {
					return Refuse(400, "the path has a dot segment")
				}
				segment = i + 3
			}
		case !pathByte[b]:
			return Refuse(400, "the path has the byte %#02x", b)
		}
	}
	if dotSegment(path[segment:]) {
		return Refuse(400, "the path has a dot segment")
	}
	return nil
}

// checkEncoded checks the encoded byte at the front of s.
func checkEncoded(s string) *Refusal {
	if len(s) < 3 || HexDigit(s[1]) < 0 || HexDigit(s[2]) < 0 {
		return Refuse(400, "the path has a %% that encodes nothing")
	}
	switch b := byte(HexDigit(s[1])<<4 | HexDigit(s[2])); {
	case b < 0x20, b == 0x7f, b == '\\', b == 0xc0, b == 0xc1:
		return Refuse(400, "the path has the encoded byte %s", s[:3])
	}
	return nil
}

// dotSegment reports whether a segment is "." or "..", also with its dots encoded or with parameters behind it.
func dotSegment(s string) bool {
	for range 2 {
		switch {
		case strings.HasPrefix(s, "."):
			s = s[1:]
		case len(s) >= 3 && s[0] == '%' && s[1] == '2' && (s[2]|0x20) == 'e':
			s = s[3:]
		default:
			return false
		}
		if s == "" || s[0] == ';' || len(s) >= 3 && s[0] == '%' && s[1] == '3' && (s[2]|0x20) == 'b' {
			return true
		}
	}
	return false
}

func checkQuery(query string) *Refusal {
	for i := 0; i < len(query); i++ {
		if b := query[i]; b <= 0x20 || b >= 0x7f || b == '#' {
			return Refuse(400, "the query has the byte %#02x", b)
		}
	}
	return nil
}

// pathByte holds the pchar of RFC 3986, section 3.3, but for "%".
var pathByte = table(func(b byte) bool {
	return b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9' || strings.IndexByte("-._~!$&'()*+,;=:@", b) >= 0
})

// HexDigit returns the value of a hexadecimal digit, or -1.
func HexDigit(b byte) int {
	switch {
	case b >= '0' && b <= '9':
		return int(b - '0')
	case b >= 'a' && b <= 'f':
		return int(b-'a') + 10
	case b >= 'A' && b <= 'F':
		return int(b-'A') + 10
	}
	return -1
}

// ValidAuthority reports whether s is a host with an optional port: a name of letters, digits, '-', '_' and '.', an IPv4
// address or an IPv6 address in brackets. User information, lists and encoded bytes are refused.
func ValidAuthority(s string) bool {
	host, port := s, ""
	if strings.HasPrefix(s, "[") {
		end := strings.IndexByte(s, ']')
		if end < 0 {
			return false
		}
		a, err := netip.ParseAddr(s[1:end])
		if err != nil || !a.Is6() || a.Zone() != "" {
			return false
		}
		return s[end+1:] == "" || s[end+1] == ':' && validPort(s[end+2:])
	}
	if i := strings.LastIndexByte(s, ':'); i >= 0 {
		if host, port = s[:i], s[i+1:]; !validPort(port) {
			return false
		}
	}
	return validHostName(host)
}

func validHostName(host string) bool {
	if host == "" || len(host) > 254 || host[0] == '.' || strings.Contains(host, "..") {
		return false
	}
	for i := 0; i < len(host); i++ {
		b := host[i] | 0x20
		if !(b >= 'a' && b <= 'z' || host[i] >= '0' && host[i] <= '9' || host[i] == '-' || host[i] == '.' || host[i] == '_') {
			return false
		}
	}
	return true
}

func validPort(s string) bool {
	n, ok := ParseLength(s)
	return ok && len(s) <= 5 && n > 0 && n < 1<<16
}
