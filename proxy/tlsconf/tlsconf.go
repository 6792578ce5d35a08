// SPDX-License-Identifier: Apache-2.0

// Package tlsconf decides how the edge speaks TLS: versions, suites, protocols, and which certificate is shown. The
// certificates come from files, by the client's server name, and are loaded again when the files change.
//
// A server name finds the certificate that names it, else one with a wildcard one label up (*.example.test covers
// a.example.test, not b.a.example.test), else the first of the list, as in nginx and HAProxy: a client that gets the wrong
// certificate says what is wrong, one whose handshake fails does not. What keeps hosts apart is Misdirected: a
// request for a host of another certificate is answered 421, not routed.
//
// A server name that is none (with a NUL, longer than 253 bytes, ...) ends the handshake.
//
// It leaves listening and handshakes to who uses the configuration. Store.Run is the one goroutine's work. Certificates of
// another source, as of ACME, would be a further way to make a set.
//
//	store, err := tlsconf.Open(tlsconf.Config{Pairs: []tlsconf.Pair{{Cert: "a.crt", Key: "a.key"}}})
//	go store.Run(ctx)
//	conn := tls.Server(accepted, store.TLS())
package tlsconf

import (
	"crypto/tls"
	"net/netip"
)

// suites are those of TLS 1.2 that have forward secrecy and authenticated encryption: what RFC 9113, appendix A leaves for
// HTTP/2. Those of TLS 1.3 are all of this kind.
var suites = []uint16{
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
}

// newConfig makes the one configuration of all connections: one, so that Go rotates the keys of session tickets, daily.
func (s *Store) newConfig() *tls.Config {
	return &tls.Config{
		MinVersion:   tls.VersionTLS12,
		CipherSuites: suites,
		NextProtos:   s.cfg.Protocols,

		GetConfigForClient: checkName,
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			return s.set.Load().choose(hello), nil
		},
	}
}

// TLS returns the configuration for servers. It must not be changed, and not be copied for connections: a copy would have
// keys of its own for session tickets.
func (s *Store) TLS() *tls.Config { return s.conf }

// Misdirected reports whether a request for host (without port) must not be answered on a connection whose handshake named
// serverName: another certificate is the host's (RFC 9110, section 7.4: 421). Hosts that share a certificate share
// connections.
func (s *Store) Misdirected(serverName, host string) bool {
	set := s.set.Load()
	if serverName == "" {
		if _, err := netip.ParseAddr(host); err == nil {
			return false // who asks for an address cannot name it: RFC 6066, section 3
		}
	}
	return set.find(serverName)[0] != set.find(host)[0]
}
