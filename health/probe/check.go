// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"bufio"
	"context"
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
	reason string           // what failed, printable and bounded
	report *topology.Report // of an edge
	local  error            // a fault of this machine kept the check from being made: it says nothing of the target
}

// reportPath is where an edge's admin listener answers with its report.
const reportPath = "/api/v1/report"

// Ours: bounds of what a target can make us read.
const (
	maxHeadBytes  = 64 << 10
	maxDrainBytes = 64 << 10
	maxInterim    = 8 // 1xx answers before the one that counts
)

// check makes one check within its timeout.
func check(ctx context.Context, t Target) result {
	how := t.Check.WithDefaults()
	timeout := how.Timeout.Std()
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	report, err := attempt(ctx, t, how)
	switch {
	case err == nil:
		return result{ok: true, report: report}
	case ctx.Err() != nil, isTimeout(err): // the dialer's clock may be a little ahead of the context's
		return result{reason: fmt.Sprintf("timeout after %s", timeout)}
	case isLocal(err):
		return result{local: err}
	}
	return result{reason: reason(err)}
}

func attempt(ctx context.Context, t Target, how topology.HealthCheck) (*topology.Report, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", t.Address)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	// A past deadline, not Close: the check's own defer closes, once.
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	switch {
	case t.Kind == Edge:
		return askReport(conn, t.Address)
	case how.Type == topology.CheckHTTP:
		return nil, askStatus(conn, t.Address, how.Path)
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		tcp.SetLinger(0) // else each check leaves a socket in TIME_WAIT here
	}
	return nil, nil
}

// askStatus passes if the answer's status is in 200..399.
func askStatus(conn net.Conn, address, path string) error {
	resp, err := get(conn, address, path, maxDrainBytes)
	if err != nil {
		return err
	}
	if resp.StatusCode < 200 || resp.StatusCode > 399 {
		return statusError(resp.StatusCode)
	}
	// The status has decided; the body is only read so that the node does not see its connection reset.
	io.Copy(io.Discard, resp.Body)
	return nil
}

// askReport passes if the answer is a report.
func askReport(conn net.Conn, address string) (*topology.Report, error) {
	resp, err := get(conn, address, reportPath, topology.MaxReportBytes+1)
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

// get sends one request over conn and reads the head of the answer. Not with http.Transport: it leaves goroutines behind
// for a moment after each request, and Run promises to leave none. The body ends early after maxBody bytes.
func get(conn net.Conn, address, path string, maxBody int64) (*http.Response, error) {
	_, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: meridian-check\r\nAccept: */*\r\nConnection: close\r\n\r\n", path, address)
	if err != nil {
		return nil, err
	}
	limited := &io.LimitedReader{R: conn, N: maxHeadBytes}
	br := bufio.NewReader(limited)
	for range maxInterim {
		resp, err := http.ReadResponse(br, &http.Request{Method: http.MethodGet})
		if err != nil && limited.N == 0 {
			return nil, errLongHead
		}
		if err != nil {
			return nil, err
		}
		if resp.StatusCode >= 200 || resp.StatusCode == http.StatusSwitchingProtocols {
			limited.N = maxBody + maxHeadBytes                           // chunk headers and what br holds already don't count
			resp.Body = io.NopCloser(io.LimitReader(resp.Body, maxBody)) // its own Close would read on; conn's is enough
			return resp, nil
		}
	}
	return nil, errInterim
}
