// SPDX-License-Identifier: Apache-2.0

package mcp

import (
	"net/netip"
	"strconv"
	"strings"

	"meridian/topology"
)

// HostAllowed guards a route to MCP workers against DNS rebinding: a web page that has its own name resolve to the edge
// must not reach a worker as that name. host is a request's authority, with or without port. Allowed is a host that the
// route names; on a route that names none, an IP address, "localhost" and any name for which isName is true (a Name of the
// topology; called in lower case without port and final dot; nil: none). A refused request is answered with BadHost.
func HostAllowed(route *topology.Route, host string, isName func(string) bool) bool {
	h, ok := hostOf(host)
	if !ok {
		return false
	}
	if len(route.Hosts) > 0 {
		return route.HostNamed(h)
	}
	return isAddress(h) || h == "localhost" || isName != nil && isName(h)
}

// OriginAllowed reports whether a request with this Origin header may go to MCP workers. No header ("") is fine: its client
// is no browser. Allowed are the http and https origins whose host is one of
//   - the route's Hosts and AllowedOrigins,
//   - the host of the request itself, if HostAllowed allows that (the page came from here),
//   - on a route without Hosts: localhost, a loopback address and the names of isName.
//
// Other IP addresses are no origin: any web page can be served from one. "null" and what can't be read are refused. A
// refused request is answered with BadOrigin: 403, as 2025-11-25 and 2026-07-28 demand.
func OriginAllowed(route *topology.Route, origin, host string, isName func(string) bool) bool {
	if origin == "" {
		return true
	}
	o, ok := originHost(origin)
	if !ok {
		return false
	}
	if route.OriginNamed(o) {
		return true
	}
	if h, ok := hostOf(host); ok && h == o && HostAllowed(route, host, isName) {
		return true
	}
	return len(route.Hosts) == 0 && (isLoopback(o) || o == "localhost" || isName != nil && isName(o))
}

// originHost returns the host of a serialized origin (RFC 6454, section 6.2): scheme, "://", host and port, nothing else.
func originHost(origin string) (string, bool) {
	scheme, authority, ok := strings.Cut(origin, "://")
	if !ok || !strings.EqualFold(scheme, "http") && !strings.EqualFold(scheme, "https") {
		return "", false
	}
	return hostOf(authority)
}

// hostOf returns the host of an authority (RFC 9110, section 4.2) in lower case without port, brackets and final dot. It
// takes an IPv6 address without brackets, too. ok is false for anything else than a name or an address.
func hostOf(authority string) (string, bool) {
	if a, err := netip.ParseAddr(authority); err == nil {
		return a.String(), a.Zone() == ""
	}
	host, port := authority, ""
	if i := strings.LastIndexByte(authority, ':'); i > strings.LastIndexByte(authority, ']') {
		host, port = authority[:i], authority[i+1:]
		if _, err := strconv.ParseUint(port, 10, 16); err != nil {
			return "", false
		}
	}
	if inner, ok := strings.CutPrefix(host, "["); ok {
		inner, closed := strings.CutSuffix(inner, "]")
		a, err := netip.ParseAddr(inner)
		return inner6(a), closed && err == nil && a.Is6() && a.Zone() == ""
	}
	if a, err := netip.ParseAddr(host); err == nil {
		return a.String(), a.Is4() // an IPv6 address with a port needs brackets
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	return host, validName(host)
}

func inner6(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

// validName reports whether s can be a DNS name. What has another byte, as in user@host or host/path, is none.
func validName(s string) bool {
	if len(s) == 0 || len(s) > 253 {
		return false
	}
	for i := range len(s) {
		switch b := s[i]; {
		case b >= 'a' && b <= 'z', b >= '0' && b <= '9', b == '-', b == '.', b == '_':
		default:
			return false
		}
	}
	return true
}

func isAddress(h string) bool {
	_, err := netip.ParseAddr(h)
	return err == nil
}

func isLoopback(h string) bool {
	a, err := netip.ParseAddr(h)
	return err == nil && a.Unmap().IsLoopback()
}
