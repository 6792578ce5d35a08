// SPDX-License-Identifier: Apache-2.0

package http1

import (
	"bufio"
	"bytes"
	"sync"

	"github.com/valyala/fasthttp"

	"meridian/proxy/exchange"
)

// second is fasthttp's parser and what it reads from. Pooled: a connection that waits must not own one.
type second struct {
	request  fasthttp.RequestHeader
	response fasthttp.ResponseHeader
	bytes    bytes.Reader
	buffer   *bufio.Reader
}

var secondPool = sync.Pool{New: func() any {
	s := &second{}
	s.request.DisableNormalizing()
	s.response.DisableNormalizing()
	s.response.SetNoDefaultContentType(true)
	s.buffer = bufio.NewReaderSize(&s.bytes, bufferBytes)
	return s
}}

// open has the parser read raw, all of which must fit its buffer.
func (s *second) open(raw []byte) *bufio.Reader {
	if s.buffer.Size() < len(raw) {
		s.buffer = bufio.NewReaderSize(&s.bytes, len(raw))
	}
	s.bytes.Reset(raw)
	s.buffer.Reset(&s.bytes)
	return s.buffer
}

// confirmRequest has fasthttp read the head too and refuses the request unless it sees the same one.
func confirmRequest(raw []byte, h *requestHead) *Refusal {
	s := secondPool.Get().(*second)
	defer secondPool.Put(s)
	b := s.open(raw)
	if err := s.request.Read(b); err != nil || b.Buffered() > 0 {
		return refuse(400, "the head is malformed")
	}
	p := &s.request
	if string(p.Method()) != h.Method || string(p.RequestURI()) != h.rawTarget || !sameLength(p.ContentLength(), h.Length) {
		return refuse(400, "the head can be read in two ways")
	}
	return nil
}

// confirmResponse is confirmRequest for a node's answer.
func confirmResponse(raw []byte, status int, length int64) *Refusal {
	s := secondPool.Get().(*second)
	defer secondPool.Put(s)
	b := s.open(raw)
	if err := s.response.Read(b); err != nil || b.Buffered() > 0 {
		return refuse(502, "the head is malformed")
	}
	if s.response.StatusCode() != status || !sameLength(s.response.ContentLength(), length) {
		return refuse(502, "the head can be read in two ways")
	}
	return nil
}

// sameLength compares fasthttp's reading of a body's length with ours: -1 is chunked, -2 none.
func sameLength(theirs int, ours int64) bool {
	switch ours {
	case exchange.LengthUnknown:
		return theirs == -1
	case exchange.LengthNone:
		return theirs == -2
	}
	return int64(theirs) == ours
}
