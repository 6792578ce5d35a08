// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"crypto/tls"
	"strings"
	"testing"

	"meridian/internal/probes"
	"meridian/internal/testnet"
)

// TestTheVersionIsChosenOnce holds that a connection speaks the version that its handshake or its first bytes have chosen: what is
// another's is refused, and no node sees it.
func TestTheVersionIsChosenOnce(t *testing.T) {
	e, node := probesEdge(t)
	http2 := string(h2Stream(&probes.Message{Fields: probes.Head("GET", "/smug")}))
	for _, k := range []struct {
		name    string
		secure  bool
		alpn    []string
		first   string // is answered
		send    string
		answers int // in HTTP/1.1
	}{
		{"HTTP/2 where the handshake chose HTTP/1.1", true, []string{"http/1.1"}, "", http2, 1},
		{"HTTP/2 where the handshake chose nothing", true, nil, "", http2, 1},
		{"HTTP/1.1 where the handshake chose HTTP/2", true, []string{"h2"}, "", probes.Smuggled, 0},
		{"HTTP/2 behind a request of HTTP/1.1", false, nil, "GET /1 HTTP/1.1\r\nHost: a.test\r\n\r\n", http2, 2},
		{"HTTP/2 behind an empty line", false, nil, "", "\r\n" + http2, 1},
		{"a preface that goes wrong at its end", false, nil, "", http2[:23] + "X" + http2[24:], 1},
		{"HTTP/1.1 behind a preface", false, nil, "", http2[:24] + probes.Smuggled, 0},
		{"two prefaces", false, nil, "", http2[:24] + http2, 0},
	} {
		node.Take()
		var c *testnet.Conn
		if k.secure {
			c = testnet.Dial(t, e.secureAddr())
			c.Conn = tls.Client(c.Conn, &tls.Config{InsecureSkipVerify: true, ServerName: "a.test", NextProtos: k.alpn})
		} else {
			c = testnet.Dial(t, e.addr)
		}
		got := ""
		if k.first != "" {
			c.Send(k.first)
			got = c.ReadUntil("GET /1 HTTP/1.1") // its body
		}
		c.Send(k.send)
		rest, _ := c.ReadAll()
		got += rest
		if n := strings.Count("\n"+got, "\nHTTP/1.1 ") + strings.Count(got, "GET /1 HTTP/1.1HTTP/1.1 "); n != k.answers {
			t.Errorf("%s: got %q; want %d answers", k.name, got, k.answers)
		}
		if k.answers > 0 && !strings.Contains(got, "HTTP/1.1 505 ") && !strings.Contains(got, "HTTP/1.1 400 ") {
			t.Errorf("%s: got %q", k.name, got)
		}
		seen, _ := node.Take()
		for _, s := range seen {
			if s.Line != "GET /1 HTTP/1.1" {
				t.Errorf("%s: the node saw %+v", k.name, s)
			}
		}
		c.Close()
	}
}
