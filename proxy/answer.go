// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"meridian/mcp"
	"meridian/proxy/exchange"
)

// answer gives an error of the edge's own: a sentence in plain text, or JSON for who accepts that. It never names an
// address. retryAfter is in seconds, 0 for none. An answer of the node that was begun is broken off instead.
func (r *relay) answer(status, retryAfter int, format string, args ...any) {
	message := fmt.Sprintf(format, args...)
	if r.record.err == "" {
		r.record.err = message
	}
	if r.x.Reply.Started() {
		r.breakOff(grpcStatus(status), message)
		return
	}
	if isGRPC(r.x.Header.Get("Content-Type")) {
		r.answerGRPC(grpcStatus(status), message)
		return
	}
	h := make(exchange.Header, 0, 4)
	contentType, body := r.errorBody(status, message)
	h.Add("Content-Type", contentType)
	if retryAfter > 0 {
		h.Add("Retry-After", strconv.Itoa(retryAfter))
	}
	r.reply(status, h, body)
}

// errorBody writes the message in the form that the client reads: clients of MCP show a JSON-RPC error for what it is, but
// take a 404 for a lost session only without one.
func (r *relay) errorBody(status int, message string) (contentType string, body []byte) {
	switch {
	case !acceptsJSON(r.x.Header.Get("Accept")) || r.isMCP && status == 404:
		return "text/plain; charset=utf-8", []byte(message + "\n")
	case r.isMCP:
		return "application/json", mcp.ErrorBody(-32000, message)
	}
	b, err := json.Marshal(map[string]any{"status": status, "error": message})
	if err != nil {
		panic("proxy: " + err.Error()) // invariant: a number and a string always encode
	}
	return "application/json", append(b, '\n')
}

// acceptsJSON reports whether an Accept header names application/json; a wildcard is not enough.
func acceptsJSON(accept string) bool {
	for part := range strings.SplitSeq(accept, ",") {
		media, _, _ := strings.Cut(part, ";")
		if strings.EqualFold(strings.TrimSpace(media), "application/json") {
			return true
		}
	}
	return false
}

// reply sends a small answer of the edge's own.
func (r *relay) reply(status int, h exchange.Header, body []byte) {
	h = r.appendExplained(r.appendAltSvc(h))
	h.Add("Date", time.Now().UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT"))
	w := r.x.Reply
	r.record.status = status
	r.record.own = true
	if err := w.WriteHead(&exchange.Head{Status: status, Header: h, Length: int64(len(body)), Close: r.last || r.s.leaving.Load()}); err != nil {
		r.abort()
		return
	}
	n, _ := w.Write(body)
	r.record.bytesOut += int64(n)
	if w.End(nil) != nil {
		r.record.aborted = true
	}
}
