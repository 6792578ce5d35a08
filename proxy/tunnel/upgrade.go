// SPDX-License-Identifier: Apache-2.0

package tunnel

import (
	"crypto/sha1" // what RFC 6455 prescribes; nothing here rests on its strength
	"encoding/base64"
	"strings"

	"meridian/proxy/exchange"
)

// WebSocket is the token of RFC 6455.
const WebSocket = "websocket"

// Asked returns the protocol that a request's header asks to switch to (RFC 9110, section 7.8), or "" if it asks for none
// that an edge takes part in: there must be one Upgrade field with one protocol, Connection must name it, and a WebSocket
// must have its key. Never another HTTP, nor TLS: a node that switched to these would speak past every check of the edge.
// Whether the request may ask at all is the engine's to say.
func Asked(h exchange.Header) string {
	token := h.Get("Upgrade")
	if token == "" || !h.HasToken("Connection", "upgrade") || h.Count("Upgrade") != 1 || !isProtocol(token) {
		return ""
	}
	name, _, _ := strings.Cut(strings.ToLower(token), "/")
	switch name {
	case "h2c", "h2", "h3", "http", "https", "tls":
		return ""
	case WebSocket:
		if h.Count("Sec-WebSocket-Key") != 1 || !validKey(h.Get("Sec-WebSocket-Key")) {
			return ""
		}
	}
	return token
}

// isProtocol reports whether s is a name, with or without "/" and a version, and no list.
func isProtocol(s string) bool {
	name, version, slash := strings.Cut(s, "/")
	return len(s) <= 64 && isToken(name) && (!slash || isToken(version))
}

func isToken(s string) bool {
	for i := 0; i < len(s); i++ {
		b := s[i]
		if !(b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9' || strings.IndexByte("!#$%&'*+-.^_`|~", b) >= 0) {
			return false
		}
	}
	return s != ""
}

// validKey reports whether a key is 16 bytes in base64: RFC 6455, section 4.1.
func validKey(key string) bool {
	b, err := base64.StdEncoding.Strict().DecodeString(key)
	return err == nil && len(b) == 16
}

// IsWebSocket reports whether a protocol is RFC 6455's.
func IsWebSocket(token string) bool { return strings.EqualFold(token, WebSocket) }

// Agreed says what is wrong with a node's 101 to the request, or "": it must switch to what was asked and, for a WebSocket,
// prove that it has read this very request and not an older one (RFC 6455, section 4.1).
func Agreed(token string, request, answer exchange.Header) string {
	switch {
	case answer.Count("Upgrade") != 1 || !strings.EqualFold(answer.Get("Upgrade"), token):
		return "its 101 does not switch to what was asked"
	case !answer.HasToken("Connection", "upgrade"):
		return "its 101 has no Connection: upgrade"
	case !IsWebSocket(token):
		return ""
	case answer.Count("Sec-WebSocket-Accept") != 1 || answer.Get("Sec-WebSocket-Accept") != accept(request.Get("Sec-WebSocket-Key")):
		return "its Sec-WebSocket-Accept does not fit the request's key"
	}
	return ""
}

// accept computes Sec-WebSocket-Accept: RFC 6455, section 4.2.2.
func accept(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}
