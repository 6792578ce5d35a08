// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"strings"

	"meridian/proxy/exchange"
	"meridian/proxy/http1"
)

// admit holds the request to what its route allows, before a node is looked for. It reports false where it has answered.
func (r *relay) admit() bool {
	switch most := int64(r.route.MaxBodyBytes); {
	case !r.route.AllowEncodedSlash && hasEncodedSlash(r.x.Path):
		r.refuseRequest(400, "the path has an encoded slash, which this route does not allow")
		return false
	case most > 0 && r.x.Length > most:
		r.refuseRequest(413, "the request's body is longer than %d bytes", most)
		return false
	case most > 0 && r.x.Length == exchange.LengthUnknown:
		r.capped = cappedBody{r.x.Body, most}
		r.x.Body = &r.capped
	}
	return true
}

// refuseRequest answers a request that is not to be trusted: its connection takes no other one.
func (r *relay) refuseRequest(status int, format string, args ...any) {
	r.last = true
	r.s.metrics.refused.Inc()
	r.answer(status, 0, format, args...)
}

// hasEncodedSlash reports whether a path has %2F. That it is decoded nowhere is what keeps router and node at one path.
func hasEncodedSlash(path string) bool {
	for {
		i := strings.IndexByte(path, '%')
		if i < 0 || len(path) < i+3 {
			return false
		}
		if path[i+1] == '2' && path[i+2]|0x20 == 'f' {
			return true
		}
		path = path[i+1:]
	}
}

// cappedBody is a body of which only so many bytes are taken.
type cappedBody struct {
	exchange.Body
	left int64
}

// Read implements exchange.Body.
func (b *cappedBody) Read(p []byte) (int, error) { return b.take(b.Body.Read(b.room(p))) }

// ReadArrived implements exchange.Body.
func (b *cappedBody) ReadArrived(p []byte) (int, error) { return b.take(b.Body.ReadArrived(b.room(p))) }

// room bounds a read to one byte more than may come, which tells a body that is too long from one that just fits.
func (b *cappedBody) room(p []byte) []byte { return p[:min(int64(len(p)), b.left+1)] }

func (b *cappedBody) take(n int, err error) (int, error) {
	if b.left -= int64(n); b.left < 0 {
		b.left = 0
		return 0, &http1.Refusal{Status: 413, Reason: "the request's body is longer than the route allows"}
	}
	return n, err
}
