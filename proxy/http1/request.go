// SPDX-License-Identifier: Apache-2.0

package http1

import (
	"strings"

	"meridian/proxy/exchange"
	"meridian/proxy/strict"
)

// requestHead is a request as far as its head tells.
type requestHead struct {
	exchange.Request
	rawTarget string // as it stood in the request line
	http11    bool
	keep      bool // the client wants to use the connection again
	expects   bool // the client waits for 100 (Continue)

	arena *arena // of the strings; nil between the requests of a connection that waits
}

// release ends the life of the request's strings.
func (h *requestHead) release() {
	if h.arena != nil {
		h.arena.giveBack(h.Header)
	}
	*h = requestHead{}
}

// parseRequest reads a complete head, the empty line included, into h, whose Header and arena it reuses: what h
// held before is lost. Our own strict reading decides; fasthttp's parser then reads the same bytes, and where it sees another message, or none, the request is
// refused: what two parsers read differently is how requests are smuggled.
func parseRequest(raw []byte, h *requestHead) *Refusal {
	if h.arena == nil {
		h.arena = arenas.Get().(*arena)
		h.Header = h.arena.fields
	}
	line, fields, r := scanHead(h.arena.hold(raw), h.Header[:0])
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
	case !ok || !ok2 || target == "" || !strict.IsToken(method) || !isVersion(version):
		return refuse(400, "the request line %q is malformed", clip(line))
	case version != "HTTP/1.1" && version != "HTTP/1.0":
		return refuse(505, "%s is not spoken here", version)
	}
	if r := strict.Method(method); r != nil {
		return r
	}
	h.Method, h.rawTarget, h.http11, h.Protocol = method, target, version == "HTTP/1.1", version[5:]
	return nil
}

func isVersion(s string) bool {
	return len(s) == 8 && s[:5] == "HTTP/" && s[5] >= '0' && s[5] <= '9' && s[6] == '.' && s[7] >= '0' && s[7] <= '9'
}

func (h *requestHead) readTarget() (authority string, r *Refusal) {
	h.Target, h.Path, authority, r = strict.ParseTarget(h.Method, h.rawTarget)
	return authority, r
}

// readHost takes the one Host field (RFC 9112, section 3.2). In HTTP/1.0 it may be missing; in HTTP/1.1 not even the
// absolute form makes up for it.
func (h *requestHead) readHost(authority string) (r *Refusal) {
	if h.http11 && h.Header.Count("Host") == 0 {
		return refuse(400, "0 Host fields; want one")
	}
	h.Host, r = strict.TakeHost(&h.Header, authority, h.http11)
	return r
}

// readExpect takes the Expect field. In HTTP/1.0 it has no meaning.
func (h *requestHead) readExpect() *Refusal {
	expects, r := strict.TakeExpect(&h.Header)
	h.expects = expects && h.http11 && h.Length != exchange.LengthNone && h.Length != 0
	return r
}
