// SPDX-License-Identifier: Apache-2.0

package main

import (
	"log/slog"

	"meridian/config"
	"meridian/proxy/tlsconf"
)

// openCertificates loads what https.certificates names.
func openCertificates(c config.HTTPS, log *slog.Logger) (*tlsconf.Store, error) {
	t := tlsconf.Config{Logger: log, Protocols: []string{"h2", "http/1.1"}}
	for _, p := range c.Certificates {
		t.Pairs = append(t.Pairs, tlsconf.Pair{Cert: p.Cert, Key: p.Key})
	}
	return tlsconf.Open(t)
}
