// SPDX-License-Identifier: Apache-2.0

package tlsconf

import (
	"crypto/tls"
	"crypto/x509"
	"slices"
	"strings"
)

// set is the certificates at one time, found by name. It is never changed.
type set struct {
	certs  []*tls.Certificate
	byName map[string][]int // exact names and "*.example.test"; several where RSA and ECDSA are offered for one name
}

func newSet(certs []*tls.Certificate) *set {
	s := &set{certs: certs, byName: map[string][]int{}}
	for i, c := range certs {
		for _, name := range names(c.Leaf) {
			s.byName[name] = append(s.byName[name], i)
		}
	}
	return s
}

// names returns the names that the certificate covers, in lower case, without what no client matches.
func names(leaf *x509.Certificate) []string {
	var out []string
	for _, n := range leaf.DNSNames {
		n = strings.ToLower(strings.TrimSuffix(n, "."))
		if rest := strings.TrimPrefix(n, "*."); rest != "" && !strings.Contains(rest, "*") && !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	return out
}

// find returns the certificates for a host: those that name it, else those of the wildcard one label up, else the first.
func (s *set) find(host string) []int {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if found := s.byName[host]; found != nil {
		return found
	}
	if _, parent, ok := strings.Cut(host, "."); ok {
		if found := s.byName["*."+parent]; found != nil {
			return found
		}
	}
	return first
}

var first = []int{0}

// choose returns the first certificate for the host that the client can verify, or else the first.
func (s *set) choose(hello *tls.ClientHelloInfo) *tls.Certificate {
	if len(s.certs) == 0 {
		return nil // the handshake fails
	}
	found := s.find(hello.ServerName)
	for _, i := range found {
		if len(found) == 1 || hello.SupportsCertificate(s.certs[i]) == nil {
			return s.certs[i]
		}
	}
	return s.certs[found[0]]
}
