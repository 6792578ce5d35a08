// SPDX-License-Identifier: Apache-2.0

package http3

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"

	"github.com/quic-go/quic-go"
	xhttp3 "github.com/quic-go/quic-go/http3"

	"meridian/proxy/strict"
)

// Codes for the mistakes of a client that cost it the connection: RFC 9114, section 8.1, and RFC 9204, section 6.
const (
	errFrameUnexpected     = 0x105 // H3_FRAME_UNEXPECTED
	errDecompressionFailed = 0x200 // QPACK_DECOMPRESSION_FAILED
)

// connKey is the context's key for the *quic.Conn of a request.
type connKey struct{}

// withConn is quic-go's ConnContext.
func withConn(ctx context.Context, c *quic.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

// receive reads the body from quic-go. What is malformed comes out as a *strict.Refusal. The last bytes of a declared length come
// only with the end of the stream: what comes behind them may make the request malformed, and a node must not have it as whole
// by then.
func (st *stream) receive(b []byte) (n int, err error) {
	n, err = st.in.Read(b)
	st.got += int64(n)
	for err == nil && st.got == st.x.Length {
		var more [1]byte
		_, err = st.in.Read(more[:]) // quic-go fails if there is one
	}
	if err == io.EOF {
		if refused := st.checkTrailer(); refused != nil {
			return 0, refused
		}
		return n, io.EOF
	}
	if err != nil {
		return 0, st.broken(err)
	}
	return n, nil
}

// broken tells a client's mistake from a client that is gone or slow, and ends the connection where that is due.
func (st *stream) broken(err error) error {
	var gone *xhttp3.Error
	if errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &gone) || st.ctx.Err() != nil {
		return err
	}
	code, reason := quic.ApplicationErrorCode(0), ""
	switch {
	case strings.HasPrefix(err.Error(), "qpack: "):
		code, reason = errDecompressionFailed, "the trailer's compression is broken"
	case err != io.ErrUnexpectedEOF && st.trailed():
		code, reason = errFrameUnexpected, "a frame behind the trailer"
	default:
		return strict.Refuse(400, "the request's body or trailer is malformed")
	}
	if c, ok := st.ctx.Value(connKey{}).(*quic.Conn); ok {
		c.CloseWithError(code, reason)
	}
	return strict.Refuse(400, "%s", reason)
}

// trailed reports whether the trailer has come. Fields that were only announced have no values.
func (st *stream) trailed() bool {
	for _, values := range st.trailer() {
		return values != nil
	}
	return st.trailer() != nil
}

// checkTrailer holds the trailer to the rules of all engines.
func (st *stream) checkTrailer() *strict.Refusal {
	bytes, fields := 0, 0
	for name, values := range st.trailer() {
		for _, v := range values {
			if !strict.IsToken(name) || !strict.IsValue(v) {
				return strict.Refuse(400, "the trailer's field %q is malformed", strict.Clip(name))
			}
			fields++
			bytes += len(name) + len(v) + 32
		}
	}
	if fields > strict.MaxTrailers || bytes > strict.MaxTrailerBytes {
		return strict.Refuse(400, "the trailer has more than %d fields, or more than %d bytes of them", strict.MaxTrailers, strict.MaxTrailerBytes)
	}
	return nil
}
