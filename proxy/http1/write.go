// SPDX-License-Identifier: Apache-2.0

package http1

import (
	"net/http"
	"strconv"

	"meridian/proxy/exchange"
)

// Outgoing is the head of a request to a node.
type Outgoing struct {
	Method, Target, Host string
	Header               exchange.Header // without Host and the fields that frame the body
	Length               int64           // of the body: bytes, LengthUnknown (chunked) or LengthNone
}

// AppendRequest appends the head of a request. It is made anew from what was parsed: no byte of a client's head, white
// space and order of framing fields included, gets to a node in the client's spelling but for the fields' own.
func AppendRequest(dst []byte, o *Outgoing) []byte {
	dst = append(dst, o.Method...)
	dst = append(dst, ' ')
	dst = append(dst, o.Target...)
	dst = append(dst, " HTTP/1.1\r\nHost: "...)
	dst = append(dst, o.Host...)
	dst = append(dst, '\r', '\n')
	dst = appendFields(dst, o.Header)
	switch {
	case o.Length == exchange.LengthUnknown:
		dst = append(dst, "Transfer-Encoding: chunked\r\n"...)
	case o.Length >= 0:
		dst = appendLength(dst, o.Length)
	}
	return append(dst, '\r', '\n')
}

// AppendChunk appends p as one chunk. An empty p appends nothing: a chunk of no bytes would end the body.
func AppendChunk(dst, p []byte) []byte {
	if len(p) == 0 {
		return dst
	}
	dst = appendChunkSize(dst, len(p))
	dst = append(dst, p...)
	return append(dst, '\r', '\n')
}

func appendChunkSize(dst []byte, n int) []byte {
	dst = strconv.AppendUint(dst, uint64(n), 16)
	return append(dst, '\r', '\n')
}

// AppendLastChunk appends the end of a chunked body with its trailer fields.
func AppendLastChunk(dst []byte, trailer exchange.Header) []byte {
	dst = append(dst, '0', '\r', '\n')
	dst = appendFields(dst, trailer)
	return append(dst, '\r', '\n')
}

func appendFields(dst []byte, h exchange.Header) []byte {
	for i := range h {
		dst = append(dst, h[i].Name...)
		dst = append(dst, ':', ' ')
		dst = append(dst, h[i].Value...)
		dst = append(dst, '\r', '\n')
	}
	return dst
}

func appendLength(dst []byte, n int64) []byte {
	dst = append(dst, "Content-Length: "...)
	dst = strconv.AppendInt(dst, n, 10)
	return append(dst, '\r', '\n')
}

func appendStatus(dst []byte, status int) []byte {
	dst = append(dst, "HTTP/1.1 "...)
	dst = strconv.AppendInt(dst, int64(status), 10)
	dst = append(dst, ' ')
	dst = append(dst, http.StatusText(status)...)
	return append(dst, '\r', '\n')
}
