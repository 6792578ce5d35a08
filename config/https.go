// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"strings"
	"time"

	"meridian/topology"
)

// HTTPS configures the data plane over TLS 1.2 and 1.3, with HTTP/2 and HTTP/1.1.
type HTTPS struct {
	// Listen are the addresses, IP:PORT, on which clients are served over TLS. At most 16. Empty: no TLS.
	Listen []string `json:"listen,omitempty"`
	// Certificates are shown by the client's server name: the one that names it, else one with a wildcard for it, else the
	// first of the list. A request for a host of another certificate than the connection's is answered 421. At most 1000;
	// needed with listen.
	Certificates []Certificate `json:"certificates,omitempty"`
	// HTTP3 has HTTP/3 spoken on the same ports over UDP, and answers over TLS say so (Alt-Svc). Default: false.
	HTTP3 bool `json:"http3,omitempty"`
	// HandshakeTimeout bounds the TLS handshake. Zero: 10s. 100ms to 1m.
	HandshakeTimeout topology.Duration `json:"handshake_timeout,omitzero"`
}

// Certificate names the files of a certificate. They are read again when they change: a pair that can't be read or does not
// fit keeps the one before in use. A reload reads all of them, and is refused if one is wrong.
type Certificate struct {
	// Cert is the path of the certificate and its chain, in PEM. Required.
	Cert string `json:"cert"`
	// Key is the path of the certificate's private key, in PEM. Required.
	Key string `json:"key"`
}

const maxCertificates = 1000 // Ours: each is looked at every 5 s.

func (h HTTPS) withDefaults() HTTPS {
	if len(h.Listen) > 0 {
		h.HandshakeTimeout = topology.Duration(h.HandshakeTimeout.Or(10 * time.Second))
	}
	return h
}

func (v *validator) https(h HTTPS) {
	v.listeners("https.listen", h.Listen)
	switch {
	case len(h.Certificates) > maxCertificates:
		v.mistake("https.certificates", "%d certificates; at most %d", len(h.Certificates), maxCertificates)
	case len(h.Listen) > 0 && len(h.Certificates) == 0:
		v.mistake("https.certificates", "it is missing; https.listen needs a certificate, as in [{cert: edge.crt, key: edge.key}]")
	case len(h.Listen) == 0 && len(h.Certificates) > 0:
		v.mistake("https.certificates", "nothing listens with them; want https.listen, as in [\"0.0.0.0:8443\"]")
	}
	for i, c := range h.Certificates {
		v.file(fmt.Sprintf("https.certificates[%d].cert", i), c.Cert)
		v.file(fmt.Sprintf("https.certificates[%d].key", i), c.Key)
	}
	if len(h.Listen) > 0 || h.HandshakeTimeout != 0 {
		v.duration("https.handshake_timeout", h.HandshakeTimeout, 100*time.Millisecond, time.Minute)
	}
}

// file checks a path that must be there.
func (v *validator) file(field, path string) {
	if path == "" {
		v.mistake(field, "it is missing; want the path of a PEM file")
	}
	v.path(field, path)
}

func (v *validator) path(field, path string) {
	if len(path) > 4096 || strings.ContainsFunc(path, func(c rune) bool { return c < ' ' || c == 0x7f }) {
		v.mistake(field, "%q is not a path; want at most 4096 bytes without control characters", clip(path))
	}
}
