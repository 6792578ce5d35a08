// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"strings"

	"meridian/proxy/exchange"
)

// fate is what becomes of a header field on its way to a node.
type fate uint8

const (
	pass    fate = iota
	drop         // hop-by-hop, or the edge's own to say
	proxied      // for proxies to say: passes in its own spelling, and only from a trusted one
	trusted      // passes in its own spelling; another program may read another spelling of it as the same
)

// longestManaged is the length of the longest name that requestFate knows; config bounds those of headers.managed by it, too.
const longestManaged = 64

// managed are further names that only proxies may say, folded.
type managed map[string]struct{}

// newManaged folds names. Those that are longer than any can be are left out.
func newManaged(names []string) managed {
	m := managed{}
	for _, name := range names {
		var buf [longestManaged]byte
		if n, _, ok := fold(name, &buf); ok {
			m[string(buf[:n])] = struct{}{}
		}
	}
	return m
}

// fold writes name to buf in lower case and with "-" for "_" and ".", which CGI-like programs do not tell apart. ok is
// false for a name that is longer than every managed one. alias says that "_" or "." was in it.
func fold(name string, buf *[longestManaged]byte) (n int, alias, ok bool) {
	if len(name) > len(buf) {
		return 0, false, false
	}
	for i := 0; i < len(name); i++ {
		b := name[i]
		switch {
		case b >= 'A' && b <= 'Z':
			b |= 0x20
		case b == '_' || b == '.':
			b, alias = '-', true
		}
		buf[i] = b
	}
	return len(name), alias, true
}

// requestFate decides on a request's field by its name: RFC 9110, section 7.6.1 for those of one hop. The list of names by
// which a client could pass itself off as another, or a request as one for another path, is ours.
func (m managed) requestFate(name string) fate {
	var buf [longestManaged]byte
	n, alias, ok := fold(name, &buf)
	if !ok {
		return pass
	}
	switch string(buf[:n]) { // no allocation: the compiler compares in place
	case "connection", "keep-alive", "proxy-connection", "proxy-authorization", "proxy-authenticate", "te", "trailer",
		"transfer-encoding", "upgrade", "http2-settings", "host", "content-length", "expect",
		"forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-request-id", "x-edge-explain":
		return drop
	case "x-forwarded-port", "x-forwarded-prefix",
		"x-forwarded-server", "x-forwarded-uri", "x-forwarded-scheme", "x-forwarded-ssl", "x-forwarded-method", "x-forwarded-path",
		"x-forwarded-by", "x-real-ip", "x-client-ip", "x-cluster-client-ip", "true-client-ip", "cf-connecting-ip",
		"x-original-url", "x-original-host", "x-rewrite-url", "x-http-method-override", "x-http-method", "x-method-override":
		if alias {
			return drop
		}
		return proxied
	case "authorization", "cookie", "origin", "content-type", "content-encoding",
		"mcp-session-id", "mcp-protocol-version", "mcp-method", "mcp-name",
		"sec-websocket-key", "sec-websocket-version", "sec-websocket-protocol", "sec-websocket-extensions":
		if alias {
			return drop
		}
		return trusted
	}
	if _, ok := m[string(buf[:n])]; !ok {
		return pass
	}
	if alias {
		return drop
	}
	return proxied
}

// responseFate is requestFate for a node's answer.
func responseFate(name string) fate {
	var buf [longestManaged]byte
	n, _, ok := fold(name, &buf)
	if !ok {
		return pass
	}
	switch string(buf[:n]) {
	case "connection", "keep-alive", "proxy-connection", "proxy-authenticate", "proxy-authentication-info", "te", "trailer",
		"transfer-encoding", "upgrade", "content-length", loadField, loadFieldBin, "x-edge-explain":
		return drop
	case "content-type", "content-encoding", "set-cookie", "mcp-session-id", "cache-control":
		return trusted // a Connection field that names them is not obeyed
	}
	return pass
}

// forbiddenTrailer reports whether a field has no business behind a body, where nobody looks again: RFC 9110, section 6.5.1.
func (m managed) forbiddenTrailer(name string) bool {
	if m.requestFate(name) != pass || responseFate(name) != pass {
		return true
	}
	var buf [longestManaged]byte
	n, _, ok := fold(name, &buf)
	if !ok {
		return false
	}
	switch string(buf[:n]) {
	case "set-cookie", "content-range", "location", "www-authenticate", "range", "max-forwards", "age", "expires", "date",
		"vary", "retry-after", "cache-control", "pragma", "if-match", "if-none-match", "if-modified-since", "if-unmodified-since":
		return true
	}
	return false
}

// appendRequestFields appends what goes to the node of the request's fields, and what the edge says of the client.
func (r *relay) appendRequestFields(dst exchange.Header) exchange.Header {
	from := r.x.Header
	nominates := nominates(from)
	for _, f := range from {
		switch r.conf.managed.requestFate(f.Name) {
		case drop:
			continue
		case proxied:
			if !r.origin.trusted {
				continue
			}
		case pass:
			if nominates && from.HasToken("Connection", f.Name) {
				continue
			}
		}
		dst = append(dst, f)
	}
	return r.appendOrigin(dst)
}

// appendKept appends the fields of an answer that are neither dropped nor named by Connection. Trusted ones stay even then: a
// peer must not have the edge take away what the other side relies on.
func appendKept(dst, from exchange.Header) exchange.Header {
	nominates := nominates(from)
	for _, f := range from {
		switch responseFate(f.Name) {
		case drop:
			continue
		case pass:
			if nominates && from.HasToken("Connection", f.Name) {
				continue
			}
		}
		dst = append(dst, f)
	}
	return dst
}

// nominates reports whether a Connection field names anything else than the common options.
func nominates(h exchange.Header) bool {
	for i := range h {
		if len(h[i].Name) == len("Connection") && strings.EqualFold(h[i].Name, "Connection") &&
			!strings.EqualFold(h[i].Value, "keep-alive") && !strings.EqualFold(h[i].Value, "close") {
			return true
		}
	}
	return false
}

// keptTrailer returns the trailer fields that may pass.
func (m managed) keptTrailer(from exchange.Header) exchange.Header {
	var kept exchange.Header
	for _, f := range from {
		if !m.forbiddenTrailer(f.Name) {
			kept = append(kept, f)
		}
	}
	return kept
}
