// SPDX-License-Identifier: Apache-2.0

package upstream

import (
	"testing"
	"time"

	"meridian/internal/testnet"
	"meridian/proxy/exchange"
	"meridian/proxy/http1"
)

func TestANodesKeepAliveLowersTheIdleTime(t *testing.T) {
	const idle = 4 * time.Second
	for value, want := range map[string]time.Duration{
		"": idle, "timeout=60": idle, "timeout=2": 1500 * time.Millisecond, "max=100, Timeout = 1": 500 * time.Millisecond,
		"timeout=0": 0, "timeout=-1": idle, "timeout": idle, "timeout=x": idle, "timeout=99999999999999999999": idle, `timeout="2"`: 1500 * time.Millisecond,
	} {
		if got := keepFor(exchange.Header{{Name: "keep-alive", Value: value}}, idle); got != want {
			t.Errorf("%q: got %s, want %s", value, got, want)
		}
	}
}

func FuzzKeepFor(f *testing.F) {
	f.Add("timeout=5, max=1000")
	f.Fuzz(func(t *testing.T, value string) {
		if got := keepFor(exchange.Header{{Name: "Keep-Alive", Value: value}}, time.Second); got < 0 || got > time.Second {
			t.Errorf("%q: %s", value, got)
		}
	})
}

// TestAConnectionIsKeptAsLongAsItsNodeAndItsPoolSay: a time of 0 or 1 ns is over at once, an hour is not.
func TestAConnectionIsKeptAsLongAsItsNodeAndItsPoolSay(t *testing.T) {
	for _, c := range []struct {
		field  string
		idle   time.Duration
		reused bool
	}{
		{"", time.Hour, true}, {"", time.Nanosecond, false}, {"Keep-Alive: timeout=0\r\n", time.Hour, false}, {"Keep-Alive: timeout=100\r\n", time.Hour, true},
	} {
		n := testnet.Listen(t, func(conn *testnet.Conn) {
			for conn.ReadUntil("\r\n\r\n") != "" {
				conn.Send("HTTP/1.1 200 OK\r\n" + c.field + "Content-Length: 0\r\n\r\n")
			}
		})
		p := pool(t, Config{})
		conn, err := p.Get(t.Context(), n.Addr, testnet.Patience)
		if err != nil {
			t.Fatal(err)
		}
		conn.Begin(testnet.Patience, false)
		conn.Write([]byte("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"), testnet.Patience)
		if _, _, err := conn.ReadHead(http1.Sent{Method: "GET"}, testnet.Patience); err != nil {
			t.Fatal(err)
		}
		conn.Release(c.idle)
		again, err := p.Get(t.Context(), n.Addr, testnet.Patience)
		if err != nil {
			t.Fatal(err)
		}
		if again.Reused() != c.reused {
			t.Errorf("%q, idle %s: reused %v", c.field, c.idle, again.Reused())
		}
		again.Close()
	}
}
