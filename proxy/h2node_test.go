// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"io"

	"golang.org/x/net/http2"

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
