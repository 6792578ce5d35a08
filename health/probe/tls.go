// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"

	"meridian/topology"
)

var errNoHTTP2 = errors.New("the node does not offer HTTP/2 in TLS (ALPN h2)")

// secure begins TLS on conn, as a client that trusts whom the machine trusts, unless the pool says otherwise.
func (c checker) secure(ctx context.Context, conn net.Conn, address string, how topology.HealthCheck) (net.Conn, error) {
	cfg := &tls.Config{
		MinVersion: tls.VersionTLS12, RootCAs: c.roots, ServerName: serverName(how, address), InsecureSkipVerify: how.SkipVerify,
		// A resumed session would not show a certificate that has run out; and nothing is remembered of a node.
		SessionTicketsDisabled: true,
	}
	switch how.Type {
	case topology.CheckGRPC:
		cfg.NextProtos = []string{"h2"}
	case topology.CheckHTTPS, topology.CheckMCP:
		cfg.NextProtos = []string{"http/1.1"}
	}
	secured := tls.Client(conn, cfg)
	if err := secured.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	if how.Type == topology.CheckGRPC && secured.ConnectionState().NegotiatedProtocol != "h2" {
		return nil, errNoHTTP2
	}
	return secured, nil
}

// serverName is the name that the certificate must have.
func serverName(how topology.HealthCheck, address string) string {
	name := how.ServerName
	if name == "" {
		name = hostOf(how, address)
		if host, _, err := net.SplitHostPort(name); err == nil {
			name = host
		}
	}
	return name
}

// tlsReason says in few words what is wrong with a handshake, or nothing where the error isn't of one.
func tlsReason(err error) string {
	var unknown x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	var name x509.HostnameError
	var record tls.RecordHeaderError
	switch {
	case errors.As(err, &unknown):
		return "certificate of an authority that is not trusted"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "certificate is not valid at this time"
	case errors.As(err, &name):
		return fmt.Sprintf("certificate is not for %s", name.Host)
	case errors.As(err, &record):
		return "no TLS is spoken there"
	}
	return ""
}
