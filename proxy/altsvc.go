// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"net"
	"net/netip"

	"meridian/proxy/exchange"
)

// altServices are what answers over TLS say of HTTP/3, by the listener that their connection came by. It is never changed.
type altServices map[netip.AddrPort]string

// altServicesOf returns them for listeners that are bound. Only those with HTTP/3 are in it.
func altServicesOf(ls []*listener) altServices {
	out := altServices{}
	for _, l := range ls {
		if l.pc == nil {
			continue
		}
		tcp, ok := l.ln.Addr().(*net.TCPAddr)
		_, port, err := net.SplitHostPort(l.pc.LocalAddr().String())
		if !ok || err != nil {
			continue // invariant: they are a TCP and a UDP socket
		}
		out[tcp.AddrPort()] = `h3=":` + port + `"; ma=86400`
	}
	return out
}

// appendAltSvc appends what tells a client over TLS that HTTP/3 is spoken on the port of UDP that its connection has with TCP:
// RFC 7838, section 3. A node's own word on that comes first and stands alone.
func (r *relay) appendAltSvc(h exchange.Header) exchange.Header {
	if r.x.Scheme != "https" {
		return h
	}
	said := (*r.s.front.altSvc.Load())[r.x.Listener]
	if said == "" || h.Count("Alt-Svc") > 0 {
		return h
	}
	return append(h, exchange.Field{Name: "Alt-Svc", Value: said})
}
