// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"

	"meridian/topology"
)

// Ours: bounds of what a target can make us read.
const (
	maxHeadBytes  = 64 << 10
	maxDrainBytes = 64 << 10
	maxInterim    = 8 // 1xx answers before the one that counts
)

var errBody = errors.New("the expected text is not in the answer")

// request is one request of a check. Its fields are checked by topology, so that none can break out of its line.
type request struct {
	method, path, host string
	fields             [][2]string // in their order
	body               string      // with its Content-Length, where the method is POST
}

// String returns the request as it is sent.
func (r request) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\n", r.method, r.path, r.host)
	for _, f := range r.fields {
		fmt.Fprintf(&b, "%s: %s\r\n", f[0], f[1])
	}
	b.WriteString("Connection: close\r\n")
	if r.method == http.MethodPost {
		fmt.Fprintf(&b, "Content-Length: %d\r\n", len(r.body))
	}
	b.WriteString("\r\n" + r.body)
	return b.String()
}

// fieldsOf returns the fields of a check: the program's own, as far as the pool doesn't write them, then the pool's by name.
func fieldsOf(how topology.HealthCheck, own ...[2]string) [][2]string {
	out := make([][2]string, 0, len(own)+len(how.Headers))
	for _, f := range own {
		written := func(name string) bool { return strings.EqualFold(name, f[0]) }
		if !slices.ContainsFunc(slices.Collect(maps.Keys(how.Headers)), written) {
			out = append(out, f)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(how.Headers)) {
		out = append(out, [2]string{name, how.Headers[name]})
	}
	return out
}

var userAgent = [2]string{"User-Agent", "meridian-check"}

// hostOf returns what the check has as its Host field.
func hostOf(how topology.HealthCheck, address string) string {
	if how.Host != "" {
		return how.Host
	}
	return address
}

// askStatus passes if the answer has an expected status and, where one is expected, the text.
func askStatus(conn net.Conn, address string, how topology.HealthCheck) error {
	resp, err := ask(conn, request{
		method: how.Method, path: how.Path, host: hostOf(how, address), fields: fieldsOf(how, userAgent, [2]string{"Accept", "*/*"}),
	}, maxDrainBytes)
	if err != nil {
		return err
	}
	if !how.PassesWith(resp.StatusCode) {
		return statusError(resp.StatusCode)
	}
	if how.Body == "" {
		// The status has decided; the body is only read so that the node does not see its connection reset.
		io.Copy(io.Discard, resp.Body)
		return nil
	}
	b, err := io.ReadAll(resp.Body)
	if bytes.Contains(b, []byte(how.Body)) {
		return nil
	}
	if err != nil {
		return err
	}
	return errBody
}

// ask sends one request over conn and reads the head of the answer. Not with http.Transport: it leaves goroutines behind
// for a moment after each request, and Run promises to leave none. The body ends early after maxBody bytes.
func ask(conn net.Conn, r request, maxBody int64) (*http.Response, error) {
	if _, err := io.WriteString(conn, r.String()); err != nil {
		return nil, err
	}
	limited := &io.LimitedReader{R: conn, N: maxHeadBytes}
	br := bufio.NewReader(limited)
	for range maxInterim {
		resp, err := http.ReadResponse(br, &http.Request{Method: r.method})
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
