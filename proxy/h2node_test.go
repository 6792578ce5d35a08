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
