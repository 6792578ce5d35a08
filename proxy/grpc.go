// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"meridian/proxy/exchange"
	"meridian/proxy/http1"
)

// The statuses of gRPC that the edge gives: https://grpc.github.io/grpc/core/md_doc_statuscodes.html.
const (
	grpcUnknown          = 2
	grpcDeadlineExceeded = 4
	grpcPermissionDenied = 7
	grpcUnimplemented    = 12
	grpcInternal         = 13
	grpcUnavailable      = 14
	grpcUnauthenticated  = 16
)

// isGRPC reports whether a content type is gRPC's: application/grpc, with or without +proto and the like.
func isGRPC(contentType string) bool {
	const base = "application/grpc"
	if len(contentType) < len(base) || !strings.EqualFold(contentType[:len(base)], base) {
		return false
	}
	rest := contentType[len(base):]
	return rest == "" || rest[0] == '+' || rest[0] == ';'
}

// grpcStatus is gRPC's http-grpc-status-mapping.
func grpcStatus(status int) int {
	switch status {
	case 400:
		return grpcInternal
	case 401:
		return grpcUnauthenticated
	case 403:
		return grpcPermissionDenied
	case 404:
		return grpcUnimplemented
	case 429, 502, 503, 504:
		return grpcUnavailable
	}
	return grpcUnknown
}

// answerGRPC gives an error of the edge's own as a client of gRPC reads it: trailers only, in the head of an answer with
// status 200 and no body.
func (r *relay) answerGRPC(code int, message string) {
	r.reply(200, exchange.Header{
		{Name: "Content-Type", Value: "application/grpc"},
		{Name: "grpc-status", Value: strconv.Itoa(code)},
		{Name: "grpc-message", Value: percentEncode(message)},
	}, nil)
}

// percentEncode writes a message as PROTOCOL-HTTP2.md of gRPC has it: bytes outside of 0x20 to 0x7e, and "%", as %XX.
func percentEncode(s string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if c := s[i]; c >= ' ' && c <= '~' && c != '%' {
			b.WriteByte(c)
		} else {
			b.Write([]byte{'%', hex[c>>4], hex[c&15]})
		}
	}
	return b.String()
}

// parseTimeout reads a grpc-timeout: 1 to 8 digits and a unit.
func parseTimeout(s string) (time.Duration, bool) {
	if len(s) < 2 || len(s) > 9 {
		return 0, false
	}
	unit, ok := grpcUnits[s[len(s)-1]]
	n, err := strconv.ParseUint(s[:len(s)-1], 10, 32)
	if !ok || err != nil || s[0] == '+' {
		return 0, false
	}
	return min(time.Duration(n), maxTimeout/unit) * unit, true
}

// maxTimeout is how far ahead a deadline counts: what is later ends by another time. Ours.
const maxTimeout = 1000 * time.Hour

var grpcUnits = map[byte]time.Duration{
	'H': time.Hour, 'M': time.Minute, 'S': time.Second, 'm': time.Millisecond, 'u': time.Microsecond, 'n': time.Nanosecond,
}

// clientTime returns how much time the client of a gRPC request gives it by grpc-timeout.
func (r *relay) clientTime() (time.Duration, bool) {
	if !isGRPC(r.x.Header.Get("Content-Type")) {
		return 0, false
	}
	return parseTimeout(r.x.Header.Get("grpc-timeout"))
}

// deadlinePassed answers a gRPC request whose time has passed.
func (r *relay) deadlinePassed() {
	const message = "the deadline has passed"
	if r.x.Reply.Started() {
		r.breakOff(grpcDeadlineExceeded, message)
		return
	}
	r.answerGRPC(grpcDeadlineExceeded, message)
}

// noteGRPC notes whether the answer that begins is gRPC's. Its client takes no answer for whole without a grpc-status of 0.
func (r *relay) noteGRPC(status int, contentType string) {
	r.failing = r.isH2 && status == 200 && isGRPC(contentType) && isGRPC(r.x.Header.Get("Content-Type"))
}

// breakOff ends an answer that was begun and will not be whole. To a client of gRPC it says why: a stream that is reset
// would be INTERNAL to it, a fault in a program, where UNAVAILABLE is what a client tries again after, and a deadline that
// passed is no fault at all. Any other client gets a reset.
func (r *relay) breakOff(code int, message string) {
	f, ok := r.x.Reply.(exchange.Failer)
	if !ok || !r.failing {
		r.abort()
		return
	}
	if f.Fail(exchange.Header{{Name: "grpc-status", Value: strconv.Itoa(code)}, {Name: "grpc-message", Value: percentEncode(message)}}) != nil {
		r.abort()
		return
	}
	r.record.aborted = true
}

// breakOffBy is breakOff for what a node did amid its answer. What was relayed before goes out first.
func (r *relay) breakOffBy(err error) {
	if r.failing && r.x.Reply.Flush() != nil {
		r.abort()
		return
	}
	code, message := grpcUnavailable, "the node's answer broke off"
	if errors.As(err, new(*http1.Refusal)) {
		code, message = grpcInternal, "the node's answer is malformed"
	}
	r.breakOff(code, message)
}
