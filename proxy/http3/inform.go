// SPDX-License-Identifier: Apache-2.0

package http3

import (
	"net/http"

	"meridian/proxy/exchange"
)

var _ exchange.Informer = (*reply)(nil)

// Inform implements exchange.Informer. quic-go does not say whether it could be sent: what follows fails then, too.
func (p *reply) Inform(status int, h exchange.Header) error {
	if p.headed || p.ended || p.aborted {
		return nil
	}
	p.extend()
	to := p.w.Header()
	for _, f := range h {
		if name := http.CanonicalHeaderKey(f.Name); sendable(name) {
			to[name] = append(to[name], f.Value)
		}
	}
	p.w.WriteHeader(status)
	clear(to) // they are not the answer's
	return nil
}
