// SPDX-License-Identifier: Apache-2.0

package proxy

import "meridian/proxy/exchange"

// appendAltSvc appends what tells a client over TLS that HTTP/3 is spoken on the same port: RFC 7838, section 3. A node's
// own word on that comes first and stands alone.
func (r *relay) appendAltSvc(h exchange.Header) exchange.Header {
	if r.x.Scheme != "https" {
		return h
	}
	said := r.s.front.altSvc.Load()
	if said == nil || h.Count("Alt-Svc") > 0 {
		return h
	}
	return append(h, exchange.Field{Name: "Alt-Svc", Value: *said})
}
