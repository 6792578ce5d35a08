// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"meridian/topology"
)

// result is what one check has found.
type result struct {
	ok     bool
	late   bool             // it failed for its time alone
	reason string           // what failed, printable and bounded
	report *topology.Report // of an edge
	local  error            // a fault of this machine kept the check from being made: it says nothing of the target
}

// reportPath is where an edge's admin listener answers with its report.
const reportPath = "/api/v1/report"

// checker makes checks.
type checker struct {
	roots *x509.CertPool // nil: the system's
}

// check makes one check within its timeout.
func (c checker) check(ctx context.Context, t Target) result {
	how := t.Check.WithDefaults()
	timeout := how.Timeout.Std()
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	report, err := c.attempt(ctx, t, how)
	switch {
	case err == nil:
		return result{ok: true, report: report}
	case ctx.Err() != nil, isTimeout(err): // the dialer's clock may be a little ahead of the context's
		return result{late: true, reason: fmt.Sprintf("timeout after %s", timeout)}
	case isLocal(err):
		return result{local: err}
	}
	return result{reason: reason(err)}
}

func (c checker) attempt(ctx context.Context, t Target, how topology.HealthCheck) (*topology.Report, error) {
	conn, closeConn, err := c.dial(ctx, t, how)
	if err != nil {
		return nil, err
	}
	defer closeConn()
	if t.Kind == Edge {
		return askReport(conn, t.Address)
	}
	switch how.Type {
	case topology.CheckHTTP, topology.CheckHTTPS:
		return nil, askStatus(conn, t.Address, how)
	case topology.CheckGRPC:
		return nil, askServing(conn, t.Address, how)
	case topology.CheckMCP:
		again := func() (net.Conn, func(), error) { return c.dial(ctx, t, how) }
		return nil, askMCP(conn, t.Address, how, again)
	}
	return nil, nil
}

// dial connects, within TLS if the check is. closeConn must be called, once.
func (c checker) dial(ctx context.Context, t Target, how topology.HealthCheck) (conn net.Conn, closeConn func(), err error) {
	conn, err = new(net.Dialer).DialContext(ctx, "tcp", t.Address)
	if err != nil {
		return nil, nil, err
	}
	raw := conn
	// A past deadline, not Close: closeConn closes, once.
	stop := context.AfterFunc(ctx, func() { raw.SetDeadline(time.Unix(1, 0)) })
	closeConn = func() {
		stop()
		raw.Close()
	}
	if tcp, ok := raw.(*net.TCPConn); ok && t.Kind == Node && how.Type == topology.CheckTCP {
		tcp.SetLinger(0) // else each check leaves a socket in TIME_WAIT here
	}
	if t.Kind == Node && how.UsesTLS() {
		if conn, err = c.secure(ctx, raw, t.Address, how); err != nil {
			closeConn()
			return nil, nil, err
		}
	}
	return conn, closeConn, nil
}

// askReport passes if the answer is a report.
func askReport(conn net.Conn, address string) (*topology.Report, error) {
	resp, err := ask(conn, request{
		method: http.MethodGet, path: reportPath, host: address, fields: [][2]string{userAgent, {"Accept", "*/*"}},
	}, topology.MaxReportBytes+1)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, statusError(resp.StatusCode)
	}
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	r, err := topology.DecodeReport(b)
	if err != nil {
		return nil, fmt.Errorf("malformed report: %w", err)
	}
	return r, nil
}
