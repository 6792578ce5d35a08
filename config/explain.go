// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"net/netip"
)

// Explain says whose requests with "X-Edge-Explain: 1" are explained: in short in a header of the answer, and with each try, its tiers and its
// candidates by edge explain request ID, for ten minutes. From everybody else the header is dropped. No node ever gets it.
type Explain struct {
	// Allow are the addresses, as 10.0.0.0/8, of clients that may ask: the peer's, or where that is one of trusted_proxies the one
	// that it names. A loopback address counts only without X-Forwarded-For, Forwarded, X-Real-IP and Via. At most 64. Empty:
	// 127.0.0.0/8 and ::1/128, who is on the edge's own machine.
	Allow []netip.Prefix `json:"allow,omitempty"`
	// Off lets nobody ask.
	Off bool `json:"off,omitempty"`
}

// loopback is who may ask by default.
var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

// Clients returns who may ask: nobody where Off is set.
func (e Explain) Clients() []netip.Prefix {
	switch {
	case e.Off:
		return nil
	case len(e.Allow) == 0:
		return loopback
	}
	return e.Allow
}

// maxAllowed bounds explain.allow. Ours: each is looked at for each request that asks.
const maxAllowed = 64

// explain checks explain.
func (v *validator) explain(e *Edge) {
	if len(e.Explain.Allow) > maxAllowed {
		v.mistake("explain.allow", "%d prefixes; at most %d", len(e.Explain.Allow), maxAllowed)
	}
	for i, p := range e.Explain.Allow {
		if p.IsValid() && p != p.Masked() {
			v.mistake(fmt.Sprintf("explain.allow[%d]", i), "%s has bits behind its length; want %s", p, p.Masked())
		}
	}
	if e.Explain.Off && len(e.Explain.Allow) > 0 {
		v.mistake("explain.off", "it is true, and explain.allow names who may ask; want one of the two")
	}
}
