// SPDX-License-Identifier: Apache-2.0

package tunnel

import (
	"strings"
	"testing"

	"go.uber.org/goleak"

	"meridian/proxy/exchange"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// key and accepted are the example of RFC 6455, section 1.3.
const (
	key      = "dGhlIHNhbXBsZSBub25jZQ=="
	accepted = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
)

// fields makes a header of names and values that take turns.
func fields(s ...string) (h exchange.Header) {
	for i := 0; i+1 < len(s); i += 2 {
		h.Add(s[i], s[i+1])
	}
	return h
}

func TestOnlyOneProtocolThatConnectionNamesIsAskedFor(t *testing.T) {
	for _, c := range []struct {
		want string
		h    exchange.Header
	}{
		{"websocket", fields("Upgrade", "websocket", "Connection", "Upgrade", "Sec-WebSocket-Key", key)},
		{"WebSocket", fields("Upgrade", "WebSocket", "connection", "keep-alive, upgrade", "Sec-WebSocket-Key", key)},
		{"foo/2", fields("Upgrade", "foo/2", "Connection", "upgrade")},
		{"", fields("Upgrade", "websocket", "Connection", "upgrade")},
		{"", fields("Upgrade", "websocket", "Connection", "upgrade", "Sec-WebSocket-Key", "c2hvcnQ=")},
		{"", fields("Upgrade", "websocket", "Connection", "upgrade", "Sec-WebSocket-Key", key, "Sec-WebSocket-Key", key)},
		{"", fields("Upgrade", "websocket", "Connection", "keep-alive", "Sec-WebSocket-Key", key)},
		{"", fields("Upgrade", "foo, bar", "Connection", "upgrade")},
		{"", fields("Upgrade", "foo", "Upgrade", "foo", "Connection", "upgrade")},
		{"", fields("Upgrade", "foo/", "Connection", "upgrade")},
		{"", fields("Upgrade", strings.Repeat("a", 65), "Connection", "upgrade")},
		{"", fields("Upgrade", "h2c", "Connection", "upgrade, HTTP2-Settings", "HTTP2-Settings", "AAMAAABkAARAAAAAAAIAAAAA")},
		{"", fields("Upgrade", "H2C", "Connection", "upgrade")},
		{"", fields("Upgrade", "h2c/1", "Connection", "upgrade")},
		{"", fields("Upgrade", "HTTP/2.0", "Connection", "upgrade")},
		{"", fields("Upgrade", "TLS/1.0", "Connection", "upgrade")},
		{"", fields()},
	} {
		if got := Asked(c.h); got != c.want {
			t.Errorf("%v: got %q, want %q", c.h, got, c.want)
		}
	}
}

func TestA101MustAgreeWithTheRequest(t *testing.T) {
	request := fields("Sec-WebSocket-Key", key)
	for _, c := range []struct {
		wrong string
		h     exchange.Header
	}{
		{"", fields("Upgrade", "websocket", "Connection", "Upgrade", "Sec-WebSocket-Accept", accepted)},
		{"Sec-WebSocket-Accept", fields("Upgrade", "websocket", "Connection", "Upgrade")},
		{"Sec-WebSocket-Accept", fields("Upgrade", "websocket", "Connection", "Upgrade", "Sec-WebSocket-Accept", key)},
		{"Sec-WebSocket-Accept", fields("Upgrade", "websocket", "Connection", "Upgrade", "Sec-WebSocket-Accept", accepted, "Sec-WebSocket-Accept", accepted)},
		{"what was asked", fields("Upgrade", "foo", "Connection", "Upgrade", "Sec-WebSocket-Accept", accepted)},
		{"what was asked", fields("Connection", "Upgrade", "Sec-WebSocket-Accept", accepted)},
		{"Connection", fields("Upgrade", "websocket", "Sec-WebSocket-Accept", accepted)},
	} {
		got := Agreed("websocket", request, c.h)
		if (got == "") != (c.wrong == "") || !strings.Contains(got, c.wrong) {
			t.Errorf("%v: got %q, want %q", c.h, got, c.wrong)
		}
	}
	if got := Agreed("foo", nil, fields("Upgrade", "foo", "Connection", "upgrade")); got != "" {
		t.Errorf("another protocol: got %q", got)
	}
}

func FuzzAsked(f *testing.F) {
	for _, s := range []string{"websocket", "h2c", "foo/1", "TLS/1.2", "h2C, websocket", " h2c"} {
		f.Add(s, "upgrade", key)
	}
	f.Fuzz(func(t *testing.T, token, connection, k string) {
		got := Asked(fields("Upgrade", token, "Connection", connection, "Sec-WebSocket-Key", k))
		lower := strings.ToLower(got)
		if got != "" && (got != token || strings.ContainsAny(got, ", \t\r\n") || strings.Contains(lower, "h2c") && (lower == "h2c" || lower[:4] == "h2c/") || strings.HasPrefix(lower, "tls/")) {
			t.Errorf("%q is asked for", got)
		}
	})
}
