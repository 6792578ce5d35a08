// SPDX-License-Identifier: Apache-2.0

// Package h3raw is a client of HTTP/3 for tests that does no more than it is told: it leaves heads half sent, does not leave
// when it is told to, and says what the server did on the connection. It reads no answers but their bytes.
//
// Its goroutine ends with the connection, which ends with the test.
//
//	c := h3raw.Dial(t, edge, "a.test")
//	got := c.Get("/")          // the bytes of the answer
//	<-c.GoneAway               // GOAWAY came
//	<-c.Conn.Context().Done()  // the connection has ended
package h3raw

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/quicvarint"

	"meridian/internal/testnet"
)

// Frame and stream types: RFC 9114, sections 6.2 and 7.2.
const (
	frameHeaders  = 1
	frameSettings = 4
	frameGoAway   = 7
	streamControl = 0
)

// Client is a connection.
type Client struct {
	// Conn is QUIC's. It can be used besides.
	Conn *quic.Conn
	// GoneAway is closed when the server has said GOAWAY.
	GoneAway chan struct{}

	t testing.TB
}

// Dial connects to addr for the server name, and sends SETTINGS.
func Dial(t testing.TB, addr, name string) *Client {
	t.Helper()
	c := DialSilent(t, addr, name)
	c.Uni(streamControl, Frame(frameSettings, nil))
	return c
}

// DialSilent is Dial without SETTINGS: no stream is opened.
func DialSilent(t testing.TB, addr, name string) *Client {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), testnet.Patience)
	defer cancel()
	q, err := quic.DialAddr(ctx, addr, &tls.Config{ServerName: name, InsecureSkipVerify: true, NextProtos: []string{"h3"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	c := &Client{Conn: q, GoneAway: make(chan struct{}), t: t}
	done := make(chan struct{})
	go func() { defer close(done); c.readControl() }()
	t.Cleanup(func() { q.CloseWithError(0x100, ""); <-done })
	return c
}

// Uni opens a stream of one direction with its type and these bytes.
func (c *Client) Uni(kind uint64, b []byte) *quic.SendStream {
	c.t.Helper()
	s, err := c.Conn.OpenUniStream()
	if err != nil {
		c.t.Fatal(err)
	}
	s.Write(append(quicvarint.Append(nil, kind), b...))
	return s
}

// Frame returns a frame.
func Frame(kind uint64, payload []byte) []byte {
	b := quicvarint.Append(nil, kind)
	b = quicvarint.Append(b, uint64(len(payload)))
	return append(b, payload...)
}

// readControl reads the server's control stream: its first of one direction.
func (c *Client) readControl() {
	in, err := c.Conn.AcceptUniStream(context.Background())
	if err != nil {
		return
	}
	r := quicvarint.NewReader(in)
	quicvarint.Read(r) // the stream's type
	for {
		kind, err := quicvarint.Read(r)
		if err != nil {
			return
		}
		n, err := quicvarint.Read(r)
		if err != nil {
			return
		}
		if _, err := io.CopyN(io.Discard, r, int64(n)); err != nil {
			return
		}
		if kind == frameGoAway {
			close(c.GoneAway)
			return
		}
	}
}

// Head returns the HEADERS frame of a GET by QPACK's static table: RFC 9204, appendix A.
func Head(host, path string) []byte {
	block := []byte{0, 0, 0xd1, 0xd7} // :method GET, :scheme https
	for _, f := range []struct {
		name  byte
		value string
	}{{0x50, host}, {0x51, path}} { // :authority and :path with a value of their own
		block = append(block, f.name)
		if n := len(f.value); n < 127 {
			block = append(block, byte(n))
		} else {
			block = append(block, 127, byte(n-127)) // up to 254: enough for tests
		}
		block = append(block, f.value...)
	}
	return Frame(frameHeaders, block)
}

// Open begins a stream with these bytes, and leaves it open.
func (c *Client) Open(first []byte) *quic.Stream {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), testnet.Patience)
	defer cancel()
	st, err := c.Conn.OpenStreamSync(ctx)
	if err != nil {
		c.t.Fatal(err)
	}
	st.SetDeadline(time.Now().Add(testnet.Patience))
	st.Write(first)
	return st
}

// Get asks for a path of a.test and returns the bytes of the answer, head included, and what ended it early.
func (c *Client) Get(path string) (string, error) {
	c.t.Helper()
	st := c.Open(Head("a.test", path))
	st.Close()
	var got bytes.Buffer
	_, err := io.Copy(&got, st)
	return got.String(), err
}
