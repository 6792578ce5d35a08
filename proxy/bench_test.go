// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"meridian/internal/testnet"
)

// answering is a node that answers each request, which must come in one piece, with the same bytes. It does next to nothing, so
// that a benchmark shows the edge.
func answering(answer []byte) func(*testnet.Conn) {
	return func(c *testnet.Conn) {
		buf := make([]byte, 64<<10)
		for {
			n, err := c.Conn.Read(buf)
			if err != nil {
				return
			}
			for range bytes.Count(buf[:n], []byte("\r\n\r\n")) {
				if _, err := c.Conn.Write(answer); err != nil {
					return
				}
			}
		}
	}
}

// benchmarkGet sends keep-alive requests over one connection for each P and reads answers of the given body size. The
// figures are those of client, edge and node in one process.
func benchmarkGet(b *testing.B, size int) {
	e := newEdge(b, func(c *Config) { c.AccessLog = nil; c.Observe = nil })
	answer := fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", size, strings.Repeat("x", size))
	e.rawNode("n1", "web", answering(answer))
	request := []byte("GET /api/v1/items?page=2 HTTP/1.1\r\nHost: api.example.org\r\nUser-Agent: bench/1.0\r\nAccept: */*\r\n\r\n")
	b.SetBytes(int64(size))
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		c, err := net.Dial("tcp", e.addr)
		if err != nil {
			b.Error(err)
			return
		}
		defer c.Close()
		buf := make([]byte, len(answer))
		for pb.Next() {
			if _, err := c.Write(request); err != nil {
				b.Error(err)
				return
			}
			if _, err := io.ReadFull(c, buf); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

func BenchmarkGet100B(b *testing.B)  { benchmarkGet(b, 100) }
func BenchmarkGet64KiB(b *testing.B) { benchmarkGet(b, 64<<10) }

// TestAProxiedRequestAllocatesLittle holds the number of allocations per request, of client, edge and node together.
func TestAProxiedRequestAllocatesLittle(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	e := newEdge(t, func(c *Config) { c.AccessLog = io.Discard; c.Observe = nil })
	answer := []byte("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	e.rawNode("n1", "web", answering(answer))
	c := testnet.Dial(t, e.addr)
	request, buf := []byte("GET / HTTP/1.1\r\nHost: api.example.org\r\nAccept: */*\r\n\r\n"), make([]byte, len(answer))
	got := testing.AllocsPerRun(2000, func() {
		c.Conn.Write(request)
		if _, err := io.ReadFull(c.Conn, buf); err != nil {
			t.Fatal(err)
		}
	})
	if got > 5 {
		t.Errorf("%v allocations per request; want at most 5", got)
	}
	t.Logf("%v allocations per request", got)
}
