// SPDX-License-Identifier: Apache-2.0

package strict

import (
	"strings"

	"meridian/proxy/exchange"
)

// Method refuses a method that is not forwarded. CONNECT would make the edge a tunnel to anywhere, TRACE shows fields that
// scripts must not see, and what nobody knows may mean anything to a node.
func Method(method string) *Refusal {
	if !IsToken(method) {
		return Refuse(400, "the method %q is malformed", Clip(method))
	}
	switch method {
	case "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH":
		return nil
	}
	return Refuse(501, "the method %q is not forwarded", Clip(method))
}

// TakeHost returns the request's one host and removes the Host field (RFC 9112, section 3.2; RFC 9113, section 8.3.1).
// authority is that of the target, "" if it has none; required says that a request without either is refused.
func TakeHost(h *exchange.Header, authority string, required bool) (string, *Refusal) {
	n := h.Count("Host")
	host := h.Get("Host")
	switch {
	case n > 1 || n == 0 && authority == "" && required:
		return "", Refuse(400, "%d Host fields; want one", n)
	case n == 0 && authority == "":
		return "", nil
	case n == 0:
		host = authority
	}
	if !ValidAuthority(host) {
		return "", Refuse(400, "Host %q is not a host", Clip(host))
	}
	if authority != "" && !strings.EqualFold(authority, host) {
		return "", Refuse(400, "the target's host is not that of the Host field")
	}
	if n > 0 {
		h.Del("Host")
	}
	return host, nil
}

// TakeExpect removes the Expect field (RFC 9110, section 10.1.1) and reports whether it was there.
func TakeExpect(h *exchange.Header) (bool, *Refusal) {
	n := h.Count("Expect")
	if n == 0 {
		return false, nil
	}
	if n > 1 || !SameName(h.Get("Expect"), "100-continue") {
		return false, Refuse(417, "Expect is taken only as 100-continue")
	}
	h.Del("Expect")
	return true, nil
}
