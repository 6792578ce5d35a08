// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"net/netip"
	"slices"
	"strings"

	"meridian/proxy/exchange"
)

// maxHops bounds the proxies in front of the edge that are believed. Ours: more than any chain has.
const maxHops = 16

// origin is where a request comes from, as the edge tells it to nodes.
type origin struct {
	trusted bool         // the peer is a trusted proxy
	ip      string       // the client's address
	chain   []netip.Addr // trusted proxies between it and the edge, the nearest last; empty: the client is the peer
	scheme  string       // that the client used
	host    string       // that the client asked for
}

// originOf says where the request comes from. The peer is believed only if it is a trusted proxy: then the client is the
// right-most address in X-Forwarded-For that is none, since whatever stands left of that one is the client's own word.
func (c *Config) originOf(x *exchange.Exchange) origin {
	o := origin{ip: x.ClientIP, scheme: x.Scheme, host: x.Host}
	peer := x.Client.Addr()
	if len(c.TrustedProxies) == 0 || !c.trusts(peer) {
		return o
	}
	o.trusted = true
	client := peer
	for i := len(x.Header) - 1; i >= 0 && len(o.chain) < maxHops; i-- {
		if !strings.EqualFold(x.Header[i].Name, "X-Forwarded-For") {
			continue
		}
		if !c.walk(x.Header[i].Value, &client, &o.chain) {
			break
		}
	}
	slices.Reverse(o.chain) // they were met from the right
	o.ip = client.String()
	if p := single(x.Header, "X-Forwarded-Proto"); strings.EqualFold(p, "http") || strings.EqualFold(p, "https") {
		o.scheme = strings.ToLower(p)
	}
	if h := single(x.Header, "X-Forwarded-Host"); validHost(h) {
		o.host = h
	}
	return o
}

// walk goes through one list from the right. It reports whether every address in it is a trusted proxy's, so that the
// client is further left. What is no address ends the walk: the proxy right of it is the last that is known.
func (c *Config) walk(list string, client *netip.Addr, chain *[]netip.Addr) bool {
	for list != "" {
		item := list
		if i := strings.LastIndexByte(list, ','); i >= 0 {
			list, item = list[:i], list[i+1:]
		} else {
			list = ""
		}
		if item = strings.Trim(item, " \t"); item == "" {
			continue // empty elements are to be passed over: RFC 9110, section 5.6.1
		}
		a, ok := forwardedAddr(item)
		if !ok || len(*chain) >= maxHops {
			return false
		}
		*chain = append(*chain, *client)
		*client = a
		if !c.trusts(a) {
			return false
		}
	}
	return true
}

func (c *Config) trusts(a netip.Addr) bool {
	for _, p := range c.TrustedProxies {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// forwardedAddr reads an address as proxies write it: bare, with a port, or in brackets.
func forwardedAddr(s string) (netip.Addr, bool) {
	if a, err := netip.ParseAddr(s); err == nil {
		return a.Unmap(), a.Zone() == ""
	}
	if ap, err := netip.ParseAddrPort(s); err == nil {
		return ap.Addr().Unmap(), ap.Addr().Zone() == ""
	}
	if inner, ok := strings.CutPrefix(s, "["); ok {
		if inner, ok = strings.CutSuffix(inner, "]"); ok {
			a, err := netip.ParseAddr(inner)
			return a.Unmap(), err == nil && a.Is6() && a.Zone() == ""
		}
	}
	return netip.Addr{}, false
}

// single returns the value of a field that must stand once, or "".
func single(h exchange.Header, name string) string {
	if h.Count(name) != 1 {
		return ""
	}
	return h.Get(name)
}

// validHost reports whether s is a host with an optional port, by its bytes: it is only repeated, never connected to.
func validHost(s string) bool {
	if s == "" || len(s) > 261 {
		return false
	}
	for i := 0; i < len(s); i++ {
		b := s[i]
		if !(b|0x20 >= 'a' && b|0x20 <= 'z' || b >= '0' && b <= '9' || strings.IndexByte("-._:[]", b) >= 0) {
			return false
		}
	}
	return true
}

// appendOrigin appends what the edge says of where a request comes from, as fields.
func (r *relay) appendOrigin(dst exchange.Header) exchange.Header {
	o := &r.origin
	dst = append(dst, exchange.Field{Name: "X-Forwarded-For", Value: o.list()}, exchange.Field{Name: "X-Forwarded-Proto", Value: o.scheme})
	if o.host != "" {
		dst = append(dst, exchange.Field{Name: "X-Forwarded-Host", Value: o.host})
	}
	return append(dst, exchange.Field{Name: "Forwarded", Value: o.forwarded(r.x.Memo)},
		exchange.Field{Name: "Via", Value: r.s.via.of(r.x.Protocol)}, exchange.Field{Name: idField, Value: r.id})
}

// list is the origin as X-Forwarded-For has it.
func (o *origin) list() string {
	if len(o.chain) == 0 {
		return o.ip
	}
	var b strings.Builder
	b.WriteString(o.ip)
	for _, a := range o.chain {
		b.WriteString(", " + a.String())
	}
	return b.String()
}

// forwarded is the origin as RFC 7239, section 4 has it: one element for each hop, the client's first. For the plain case it
// is the same for nearly all requests of a connection, which is what the memo is for.
func (o *origin) forwarded(m *exchange.Memo) string {
	plain := len(o.chain) == 0 && m != nil
	if plain && m.Forwarded != "" && m.Host == o.host && m.Scheme == o.scheme {
		return m.Forwarded
	}
	var b strings.Builder
	b.Grow(len("for=;host=;proto=") + 8 + len(o.ip) + len(o.host) + len(o.scheme)) // quotes and brackets included
	b.WriteString("for=")
	node(&b, o.ip)
	if o.host != "" {
		b.WriteString(`;host="` + o.host + `"`)
	}
	b.WriteString(";proto=" + o.scheme)
	for _, a := range o.chain {
		b.WriteString(", for=")
		node(&b, a.String())
	}
	if plain {
		// Cloned: they may be parts of the request's head, whose memory the next request uses.
		*m = exchange.Memo{Host: strings.Clone(o.host), Scheme: strings.Clone(o.scheme), Forwarded: b.String()}
	}
	return b.String()
}

// node writes an address as RFC 7239, section 6 wants it.
func node(b *strings.Builder, ip string) {
	switch {
	case ip == "":
		b.WriteString("unknown")
	case strings.IndexByte(ip, ':') >= 0:
		b.WriteString(`"[` + ip + `]"`)
	default:
		b.WriteString(ip)
	}
}
