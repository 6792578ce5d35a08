// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"strconv"
	"strings"

	"meridian/proxy/exchange"
)

// via holds what the edge adds to Via, by the version that the client speaks, so that it is made once.
type via struct{ http10, http11, http2, http3 string }

func newVia(name string) via { return via{"1.0 " + name, "1.1 " + name, "2.0 " + name, "3.0 " + name} }

func (v *via) of(protocol string) string {
	switch protocol {
	case "1.0":
		return v.http10
	case "2":
		return v.http2
	case "3":
		return v.http3
	}
	return v.http11
}

// looped answers a request that has come through this edge before (RFC 9110, section 7.6.3): a route that leads back to the
// edge would go round until something breaks.
func (r *relay) looped() bool {
	for _, f := range r.x.Header {
		if !strings.EqualFold(f.Name, "Via") {
			continue
		}
		for hop := range strings.SplitSeq(f.Value, ",") {
			if fields := strings.Fields(hop); len(fields) > 1 && strings.EqualFold(fields[1], r.s.cfg.Via) {
				r.refuseRequest(508, "the request has come through this edge before")
				return true
			}
		}
	}
	return false
}

// hops obeys Max-Forwards, which OPTIONS and TRACE have (RFC 9110, section 7.6.2); TRACE is not taken at all. OPTIONS * asks
// about the server as a whole, which is the edge: no route could say where else. It reports false where it has answered.
func (r *relay) hops() bool {
	if r.x.Method != "OPTIONS" {
		return true
	}
	n := r.x.Header.Count("Max-Forwards")
	if n == 0 && r.x.Path != "*" {
		return true
	}
	left, err := strconv.ParseUint(r.x.Header.Get("Max-Forwards"), 10, 31)
	switch {
	case n > 1 || n == 1 && err != nil:
		r.refuseRequest(400, "Max-Forwards is not a number")
		return false
	case left == 0 || r.x.Path == "*":
		r.reply(200, exchange.Header{{Name: "Allow", Value: "GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH"}}, nil)
		return false
	}
	r.x.Header.Del("Max-Forwards")
	r.x.Header.Add("Max-Forwards", strconv.FormatUint(left-1, 10))
	return true
}
