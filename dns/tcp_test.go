// SPDX-License-Identifier: Apache-2.0

package dns

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	mdns "github.com/miekg/dns"
)

func dial(t *testing.T, r *running) *net.TCPConn {
	t.Helper()
	c, err := net.DialTimeout("tcp", r.addr, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return c.(*net.TCPConn)
}

func framed(b []byte) []byte { return append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...) }

func readFrame(c io.Reader) ([]byte, error) {
	var n [2]byte
	if _, err := io.ReadFull(c, n[:]); err != nil {
		return nil, err
	}
	b := make([]byte, binary.BigEndian.Uint16(n[:]))
	_, err := io.ReadFull(c, b)
	return b, err
}

// closed fails the test unless the server closes the connection without a word.
func closed(t *testing.T, c net.Conn) {
	t.Helper()
	n, err := c.Read(make([]byte, 1))
	if n != 0 || err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got %d bytes and %v, want the end", n, err)
	}
}

// short makes timeouts that a test can wait for, and a loaded machine can keep.
func short(c *Config) { c.ReadTimeout, c.IdleTimeout = 400*time.Millisecond, 400*time.Millisecond }

func TestPipelinedQueriesAreAnsweredInOrderUpToTheLimit(t *testing.T) {
	r := start(t, world(t, 41))
	c := dial(t, r)
	var all []byte
	for i := range 400 {
		m := question("mcp.edge.test.", mdns.TypeA)
		m.Id = uint16(i)
		all = append(all, framed(packed(t, m))...)
	}
	if _, err := c.Write(all); err != nil {
		t.Fatal(err)
	}
	for i := range 128 {
		b, err := readFrame(c)
		if err != nil || binary.BigEndian.Uint16(b) != uint16(i) {
			t.Fatalf("answer %d: %x, %v", i, b, err)
		}
	}
	if _, err := readFrame(c); err != io.EOF {
		t.Errorf("after 128 queries: got %v, want EOF", err)
	}
	_ = c.Close()
	r.await(t, `meridian_dns_queries_total{proto="tcp",rcode="NOERROR"}`, 128)
	r.await(t, "meridian_dns_tcp_connections", 0)
}

func TestAConnectionThatSaysNothingUsefulIsClosed(t *testing.T) {
	r := start(t, world(t, 41), short)
	whole := framed(packed(t, question("mcp.edge.test.", mdns.TypeA)))
	for name, send := range map[string][]byte{
		"nothing":           nil,
		"half a length":     {0},
		"a length":          {0, 40},
		"half a query":      whole[:20],
		"length 0":          {0, 0},
		"a header cut off":  append([]byte{0, 11}, make([]byte, 11)...),
		"an answer":         framed(append([]byte{1, 2, 0x80, 0}, make([]byte, 8)...)),
		"65535 bytes":       append([]byte{0xff, 0xff}, bytes.Repeat([]byte{0xc0, 0x0c}, 100)...),
		"one byte too many": {0x10, 0x01},
	} {
		c := dial(t, r)
		if _, err := c.Write(send); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		n, err := c.Read(make([]byte, 1))
		if n != 0 || err == nil || errors.Is(err, os.ErrDeadlineExceeded) || time.Since(began) > 5*time.Second {
			t.Errorf("%s: got %d bytes and %v after %s, want the end", name, n, err, time.Since(began))
		}
	}
	if m := r.ask(t, "udp", question("mcp.edge.test.", mdns.TypeA)); m.Rcode != mdns.RcodeSuccess {
		t.Errorf("UDP: got %s", present(m))
	}
	r.await(t, "meridian_dns_tcp_connections", 0)
	r.await(t, `meridian_dns_dropped_total{reason="too long"}`, 2)
}

func TestAConnectionMayIdleBetweenQueriesButNotForLong(t *testing.T) {
	r := start(t, world(t, 41), short)
	c := dial(t, r)
	for range 2 {
		if _, err := c.Write(framed(packed(t, question("mcp.edge.test.", mdns.TypeA)))); err != nil {
			t.Fatal(err)
		}
		if _, err := readFrame(c); err != nil {
			t.Fatal(err)
		}
	}
	closed(t, c)
}

func TestAReaderThatStopsReadingIsCutOff(t *testing.T) {
	r := start(t, crowd(t), short, func(c *Config) { c.QueriesPerConnection = 1 << 20 })
	c := dial(t, r)
	q := framed(packed(t, question("z.", mdns.TypeNS)))
	block := bytes.Repeat(q, 1000)
	for { // until the server neither reads on nor keeps the connection
		if _, err := c.Write(block); err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatal("the server keeps a connection that takes no answer")
			}
			break
		}
	}
	r.await(t, "meridian_dns_tcp_connections", 0)
}

func TestConnectionsAreCappedByAddressAndInAll(t *testing.T) {
	r := start(t, world(t, 41), func(c *Config) { c.MaxConnectionsPerAddress = 3 })
	var held []*net.TCPConn
	for range 3 {
		held = append(held, dial(t, r))
	}
	r.await(t, "meridian_dns_tcp_connections", 3)
	closed(t, dial(t, r))
	r.await(t, `meridian_dns_tcp_refused_total{limit="address"}`, 1)
	_ = held[0].Close()
	r.await(t, "meridian_dns_tcp_connections", 2)
	if m := r.ask(t, "tcp", question("mcp.edge.test.", mdns.TypeA)); m.Rcode != mdns.RcodeSuccess {
		t.Errorf("after one has gone: got %s", present(m))
	}

	r = start(t, world(t, 41), func(c *Config) { c.MaxConnections = 1 })
	dial(t, r)
	r.await(t, "meridian_dns_tcp_connections", 1)
	closed(t, dial(t, r))
	r.await(t, `meridian_dns_tcp_refused_total{limit="all"}`, 1)
}

func TestIdleConnectionsDontHoldTheServerUp(t *testing.T) {
	r := start(t, world(t, 41), func(c *Config) { c.ReadTimeout, c.IdleTimeout = time.Hour, time.Hour })
	var held []*net.TCPConn
	for range 50 {
		held = append(held, dial(t, r))
	}
	r.await(t, "meridian_dns_tcp_connections", 50)
	r.stop()
	for _, c := range held {
		closed(t, c)
	}
	if _, err := net.DialTimeout("tcp", r.addr, time.Second); err == nil {
		t.Error("the port is still open")
	}
}
