// SPDX-License-Identifier: Apache-2.0

// Package probes holds what an edge must refuse, and what it must take unchanged, as tables: requests in the bytes of HTTP/1.1
// by the groups S, C, L, R, H, E, Z, U and P of the smuggling literature (RFC 9112; Kettle's permutations), messages apart from how
// a version of HTTP writes them, and paths and fields that every version must treat alike. A Recorder is the node behind the edge,
// which tells what came through, and Oracle holds our reading of a request against those of others.
//
// The runners take a way to connect, or an Engine that sends a message as it is, so that the same tables run over every transport. It
// leaves to the tests which edge that is, and the clients of HTTP/2 and 3.
//
//	node := probes.NewRecorder(t)
//	probes.RunRefused(t, func() net.Conn { … }, node)
//	probes.RunTaken(t, func() net.Conn { … }, node)
//	probes.RunMessages(t, &probes.Engine{Ask: func(m *probes.Message) probes.Outcome { … }}, node)
package probes

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"meridian/internal/testnet"
)

// Seen is one whole request that a Recorder got.
type Seen struct {
	Line, Host, Body string
	Header           http.Header
	Trailer          http.Header
}

// Recorder is a node that notes every request and answers it with its request line. Safe for concurrent use.
type Recorder struct {
	Addr string

	mu    sync.Mutex // guards the fields below
	seen  []Seen
	bytes int
}

// NewRecorder starts a node that ends with the test.
func NewRecorder(t testing.TB) *Recorder {
	r := &Recorder{}
	r.Addr = testnet.Listen(t, r.serve).Addr
	return r
}

// Take returns what came since the last call: whole requests, and how many bytes in all.
func (r *Recorder) Take() (seen []Seen, bytes int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	seen, bytes = r.seen, r.bytes
	r.seen, r.bytes = nil, 0
	return seen, bytes
}

// counting counts what is read.
type counting struct {
	net.Conn
	r *Recorder
}

func (c counting) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.r.mu.Lock()
	defer c.r.mu.Unlock()
	c.r.bytes += n
	return n, err
}

func (r *Recorder) serve(c *testnet.Conn) {
	in := bufio.NewReader(counting{c.Conn, r})
	for {
		req, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return // it never came whole
		}
		s := Seen{Line: req.Method + " " + req.RequestURI + " " + req.Proto, Host: req.Host, Body: string(body), Header: req.Header, Trailer: req.Trailer}
		r.mu.Lock()
		r.seen = append(r.seen, s)
		r.mu.Unlock()
		if req.Method == "HEAD" {
			s.Line = ""
		}
		if c.Send(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(s.Line), s.Line)) != nil {
			return
		}
	}
}

// RunRefused sends each probe that must be refused on a connection of its own, with a request behind it that must never be
// read. Of those whose head is wrong the node may not see a byte; of those whose body is, no whole request.
func RunRefused(t *testing.T, dial func() net.Conn, node *Recorder) {
	for _, p := range Refused() {
		node.Take()
		got := exchange(t, dial(), p.Bytes+Smuggled)
		status := 0
		if _, err := fmt.Sscanf(got, "HTTP/1.1 %d ", &status); err != nil || strings.Count("\n"+got, "\nHTTP/1.1 ") != 1 {
			t.Errorf("%s: got %q; want one answer", p.Name, got)
		}
		want := p.Status
		if want == nil {
			want = []int{400}
		}
		if !slices.Contains(want, status) {
			t.Errorf("%s: got %d, want %v", p.Name, status, want)
		}
		seen, bytes := node.Take()
		if len(seen) > 0 || bytes > 0 && p.Name[0] != 'C' {
			t.Errorf("%s: the node got %d bytes, %+v", p.Name, bytes, seen)
		}
	}
}

// exchange sends s and reads until the edge closes.
func exchange(t *testing.T, c net.Conn, s string) string {
	t.Helper()
	defer c.Close()
	c.SetDeadline(time.Now().Add(testnet.Patience))
	var sending sync.WaitGroup
	sending.Go(func() { io.WriteString(c, s) }) // the edge may close before it has read all
	got, err := io.ReadAll(c)
	sending.Wait()
	if e, ok := err.(net.Error); ok && e.Timeout() {
		t.Errorf("%.60q: the connection stays open; it brought %q", s, got)
	}
	return string(got)
}
