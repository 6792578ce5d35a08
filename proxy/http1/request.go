// SPDX-License-Identifier: Apache-2.0

package http1

import (
	"strings"

	"meridian/proxy/exchange"
)

// requestHead is a request as far as its head tells.
type requestHead struct {
	exchange.Request
	rawTarget string // as it stood in the request line
	http11    bool
	keep      bool // the client wants to use the connection again
	expects   bool // the client waits for 100 (Continue)
}

// parseRequest reads a complete head, the empty line included, into h, whose Header it reuses. Our own strict reading
// decides; fasthttp's parser then reads the same bytes, and where it sees another message, or none, the request is
// refused: what two parsers read differently is how requests are smuggled.
func parseRequest(raw []byte, h *requestHead) *Refusal {
	head := string(raw) // allocates once: the fields are parts of it and may be kept
	line, fields, r := scanHead(head, h.Header[:0])
	h.Header = fields
	if r != nil {
		return r
	}
	if r := h.readLine(line); r != nil {
		return r
	}
	authority, r := h.readTarget()
	if r != nil {
		return r
	}
	if h.Length, r = framing(&h.Header, h.http11); r != nil {
		return r
	}
	if r := h.readHost(authority); r != nil {
		return r
	}
	if r := h.readExpect(); r != nil {
		return r
	}
	h.keep = h.http11
	if h.http11 && h.Header.HasToken("Connection", "close") {
		h.keep = false
	} else if !h.http11 {
		h.keep = h.Header.HasToken("Connection", "keep-alive")
	}
	return confirmRequest(raw, h)
}

// readLine reads the request line up to the target's form.
func (h *requestHead) readLine(line string) *Refusal {
	method, rest, ok := strings.Cut(line, " ")
	target, version, ok2 := strings.Cut(rest, " ")
	switch {
	case !ok || !ok2 || target == "" || !isToken(method) || !isVersion(version):
		return refuse(400, "the request line %q is malformed", clip(line))
	case version != "HTTP/1.1" && version != "HTTP/1.0":
		return refuse(505, "%s is not spoken here", version)
	}
	switch method {
	case "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH":
	default: // CONNECT would make the edge a tunnel to anywhere, TRACE shows fields that scripts must not see
		return refuse(501, "the method %q is not forwarded", clip(method))
	}
	h.Method, h.rawTarget, h.http11, h.Protocol = method, target, version == "HTTP/1.1", version[5:]
	return nil
}

func isVersion(s string) bool {
	return len(s) == 8 && s[:5] == "HTTP/" && s[5] >= '0' && s[5] <= '9' && s[6] == '.' && s[7] >= '0' && s[7] <= '9'
}

func (h *requestHead) readTarget() (authority string, r *Refusal) {
	h.Target, h.Path, authority, r = parseTarget(h.Method, h.rawTarget)
	return authority, r
}

// readHost takes the one Host field (RFC 9112, section 3.2). In HTTP/1.0 it may be missing.
func (h *requestHead) readHost(authority string) *Refusal {
	n := h.Header.Count("Host")
	if n > 1 || n == 0 && h.http11 {
		return refuse(400, "%d Host fields; want one", n)
	}
	h.Host = h.Header.Get("Host")
	if n == 0 && authority != "" {
		h.Host = authority
	}
	if n > 0 || authority != "" {
		if !validAuthority(h.Host) {
			return refuse(400, "Host %q is not a host", clip(h.Host))
		}
		if authority != "" && !strings.EqualFold(authority, h.Host) {
			return refuse(400, "the target's host is not that of the Host field")
		}
	}
	if n > 0 {
		h.Header.Del("Host")
	}
	return nil
}

// readExpect takes the Expect field (RFC 9110, section 10.1.1). In HTTP/1.0 it has no meaning.
func (h *requestHead) readExpect() *Refusal {
	n := h.Header.Count("Expect")
	h.expects = false
	if n == 0 {
		return nil
	}
	if n > 1 || !isName(h.Header.Get("Expect"), "100-continue") {
		return refuse(417, "Expect is taken only as 100-continue")
	}
	h.expects = h.http11 && h.Length != exchange.LengthNone && h.Length != 0
	h.Header.Del("Expect")
	return nil
}
