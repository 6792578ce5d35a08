// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"bytes"
	"io"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"meridian/internal/testnet"
)

// refuseAll serves a connection of HTTP/2 on which every request is refused.
func refuseAll(c *testnet.Conn) {
	io.CopyN(io.Discard, c, int64(len(http2.ClientPreface)))
	f := http2.NewFramer(c, c)
	f.WriteSettings()
	for {
		got, err := f.ReadFrame()
		if err != nil {
			return
		}
		if h, ok := got.(*http2.HeadersFrame); ok {
			f.WriteRSTStream(h.StreamID, http2.ErrCodeRefusedStream)
		}
	}
}

// oneEach serves a connection of HTTP/2 on which the first request is answered and the second one finds a GOAWAY.
func oneEach(c *testnet.Conn) {
	io.CopyN(io.Discard, c, int64(len(http2.ClientPreface)))
	f := http2.NewFramer(c, c)
	f.WriteSettings()
	for {
		got, err := f.ReadFrame()
		if err != nil {
			return
		}
		h, ok := got.(*http2.HeadersFrame)
		switch {
		case ok && h.StreamID == 1:
			f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0x88}, EndHeaders: true}) // :status 200
			f.WriteData(1, true, []byte("ok"))
		case ok:
			f.WriteGoAway(1, http2.ErrCodeNo, nil)
		}
	}
}

// h2Node writes the frames of a node of HTTP/2, right ones or not.
type h2Node struct {
	*http2.Framer
	*testnet.Conn
	block bytes.Buffer
	enc   *hpack.Encoder
	path  string // of the request to be answered
}

// head writes a header block of these names and values.
func (n *h2Node) head(id uint32, end bool, fields ...string) {
	n.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: n.encode(fields...), EndHeaders: true, EndStream: end})
}

func (n *h2Node) encode(fields ...string) []byte {
	n.block.Reset()
	for i := 0; i < len(fields); i += 2 {
		n.enc.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	return n.block.Bytes()
}

// answer answers a request rightly.
func (n *h2Node) answer(id uint32, body string) {
	n.head(id, false, ":status", "200")
	n.WriteData(id, true, []byte(body))
}

// serveH2 serves a connection of HTTP/2: it calls answer for each head, which leaves the body unread.
func serveH2(c *testnet.Conn, settings []http2.Setting, answer func(n *h2Node, id uint32)) {
	io.CopyN(io.Discard, c, int64(len(http2.ClientPreface)))
	n := &h2Node{Framer: http2.NewFramer(c, c), Conn: c}
	n.enc = hpack.NewEncoder(&n.block)
	n.AllowIllegalWrites = true
	n.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	n.WriteSettings(settings...)
	for {
		f, err := n.ReadFrame()
		if err != nil {
			return
		}
		if h, ok := f.(*http2.MetaHeadersFrame); ok {
			n.path = h.PseudoValue("path")
			answer(n, h.StreamID)
		}
	}
}
