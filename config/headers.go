// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"strings"
)

// Bounds of what names the managed headers and the trusted proxies. Ours: each is looked at for each request.
const (
	maxManaged     = 64
	maxManagedName = 64
	maxTrusted     = 64
)

// headers checks headers.managed and trusted_proxies.
func (v *validator) headers(e *Edge) {
	if len(e.Headers.Managed) > maxManaged {
		v.mistake("headers.managed", "%d names; at most %d", len(e.Headers.Managed), maxManaged)
	}
	for i, name := range e.Headers.Managed {
		if !validHeaderName(name) {
			v.mistake(fmt.Sprintf("headers.managed[%d]", i), "%q is not the name of a header; want at most %d letters, digits and '-', as in X-Auth-User", clip(name), maxManagedName)
		}
	}
	if len(e.TrustedProxies) > maxTrusted {
		v.mistake("trusted_proxies", "%d prefixes; at most %d", len(e.TrustedProxies), maxTrusted)
	}
	for i, p := range e.TrustedProxies {
		if p.IsValid() && p != p.Masked() {
			v.mistake(fmt.Sprintf("trusted_proxies[%d]", i), "%s has bits behind its length; want %s", p, p.Masked())
		}
	}
}

func validHeaderName(s string) bool {
	return s != "" && len(s) <= maxManagedName && !strings.ContainsFunc(s, func(c rune) bool {
		return !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-')
	})
}
