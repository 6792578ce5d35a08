// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

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
	e := newEdge(b, func(c *Config) { c.AccessLog, c.Observe, c.MaxRequests = nil, nil, 1<<30 })
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

// TestAProxiedRequestAllocatesNothing counts the allocations of client, edge and node together, with the access log off.
func TestAProxiedRequestAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	for _, c := range []struct{ name, request string }{
		{"GET", "GET /api/v1/items?page=2 HTTP/1.1\r\nHost: api.example.org\r\nUser-Agent: test/1.0\r\nAccept: */*\r\n\r\n"},
		{"POST", "POST /api/v1/items HTTP/1.1\r\nHost: api.example.org\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok"},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := newEdge(t, func(c *Config) { c.AccessLog, c.Observe, c.MaxRequests = nil, nil, 1<<30 })
			answer := []byte("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok")
			e.rawNode("n1", "web", answering(answer))
			conn, request, buf := testnet.Dial(t, e.addr), []byte(c.request), make([]byte, len(answer))
			got := testing.AllocsPerRun(5000, func() {
				conn.Conn.Write(request)
				if _, err := io.ReadFull(conn.Conn, buf); err != nil {
					t.Fatal(err)
				}
			})
			if got > 0 {
				t.Errorf("%v allocations per request; want none", got)
			}
		})
	}
}

// TestStringsOfARequestDoNotOutliveIt opens sessions over one connection, whose ids are kept.
func TestStringsOfARequestDoNotOutliveIt(t *testing.T) {
	e := newEdge(t)
	e.rawNode("n1", "mcp", func(c *testnet.Conn) {
		for i := 0; ; i++ {
			if head := c.ReadUntil("\r\n\r\n"); head == "" {
				return
			}
			c.Send(fmt.Sprintf("HTTP/1.1 200 OK\r\nMcp-Session-Id: session-%d\r\nContent-Length: 0\r\n\r\n", i))
		}
	})
	c := testnet.Dial(t, e.addr)
	for i := range 3 { // each answer overwrites the memory of the one before
		c.Send("POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n")
		c.ReadUntil("\r\n\r\n")
		testnet.Wait(t, "the session to be known", func() bool { return e.sessions.Len() == i+1 })
	}
	for i := range 3 {
		if node, ok := e.sessions.Lookup("mcp", fmt.Sprintf("session-%d", i), time.Now()); !ok || node != "n1" {
			t.Errorf("session-%d is on %q, %v", i, node, ok)
		}
	}
}
