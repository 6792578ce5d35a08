// SPDX-License-Identifier: Apache-2.0

package main

import (
	"math"
	"time"

	"meridian/config"
	"meridian/proxy/tlsconf"
)

// openCertificates loads what https.certificates names. Without TLS the store is there, too: a reload may bring it.
func (s *server) openCertificates() (err error) {
	s.tls, err = tlsconf.Open(tlsconf.Config{Logger: s.log, Protocols: []string{"h2", "http/1.1"}, Pairs: pairsOf(s.cfg.HTTPS)})
	if err != nil {
		return err
	}
	s.metrics.NewGauge("meridian_tls_certificate_expiry_seconds", func() float64 {
		end := s.tls.NotAfter()
		if end.IsZero() {
			return math.NaN() // there is none
		}
		return time.Until(end).Seconds()
	})
	return nil
}

func pairsOf(c config.HTTPS) (out []tlsconf.Pair) {
	for _, p := range c.Certificates {
		out = append(out, tlsconf.Pair{Cert: p.Cert, Key: p.Key})
	}
	return out
}
