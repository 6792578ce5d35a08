// SPDX-License-Identifier: Apache-2.0

package topology

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// CheckType is the way in which a node is checked.
type CheckType string

// The check types.
const (
	CheckTCP   CheckType = "tcp"   // up if it accepts a connection
	CheckTLS   CheckType = "tls"   // up if it completes a TLS handshake
	CheckHTTP  CheckType = "http"  // up if the answer to a request is as expected
	CheckHTTPS CheckType = "https" // http within TLS
	CheckGRPC  CheckType = "grpc"  // up if grpc.health.v1.Health/Check says SERVING
	CheckMCP   CheckType = "mcp"   // up if an MCP server answers in its Era
)

// Era is the generation of MCP that a check speaks.
type Era string

// The eras.
const (
	EraModern Era = "modern" // from 2026-07-28: server/discover
	EraLegacy Era = "legacy" // up to 2025-11-25: initialize, and DELETE for the session
)

// HealthCheck says how the nodes of a pool are checked.
type HealthCheck struct {
	// Type is tcp, tls, http, https, grpc or mcp. Empty: http where Path is set, else tcp. http, https and mcp speak HTTP/1.1, grpc
	// HTTP/2, whatever the pool does.
	Type CheckType `json:"type,omitempty"`
	// Method is that of an http or https check: GET, HEAD, OPTIONS or POST, which goes without a body. Empty: GET.
	Method string `json:"method,omitempty"`
	// Path is what an http, https or mcp check asks for. Empty: "/healthz", and "/mcp" for mcp.
	Path string `json:"path,omitempty"`
	// Host is the Host field (gRPC: the authority) of an http, https, grpc or mcp check. Empty: the node's address.
	Host string `json:"host,omitempty"`
	// Headers are further fields of an http, https, grpc or mcp check, at most 16 of 1024 bytes. Not those that frame the request.
	Headers map[string]string `json:"headers,omitempty"`
	// Status lists what an http or https check passes with: codes and ranges, as in "204" or "200-399". Empty: 200-399. At most 16.
	Status []string `json:"status,omitempty"`
	// Body is a text that must stand within the first 64 KiB of the answer to an http or https check. Empty: any body. At most 256 bytes.
	Body string `json:"body,omitempty"`
	// Service is what a grpc check asks after. Empty: the server as a whole.
	Service string `json:"service,omitempty"`
	// Era is what an mcp check speaks: modern, which asks server/discover, or legacy, which opens a session with initialize and ends
	// it with DELETE. Empty: modern.
	Era Era `json:"era,omitempty"`
	// TLS has a grpc or mcp check go within TLS; tls and https checks do anyway.
	TLS bool `json:"tls,omitempty"`
	// ServerName is the name that is asked for in TLS and that the certificate must have. Empty: Host without its port, else the
	// node's IP address.
	ServerName string `json:"server_name,omitempty"`
	// SkipVerify has a check within TLS take any certificate. False: it must be valid, for ServerName and of an authority that the
	// edge's machine trusts.
	SkipVerify bool `json:"skip_verify,omitempty"`
	// Interval is the time between two checks of one node, give or take Jitter. Zero: 1s. 50ms to 1h. Shorter finds faults sooner and
	// costs one connection per node, edge and interval. An edge that checks more than 1,000 nodes checks that many a second.
	Interval Duration `json:"interval,omitempty"`
	// FastInterval is used instead while a node is between two verdicts. Zero: Interval/4, at least 50ms. 20ms to Interval.
	FastInterval Duration `json:"fast_interval,omitempty"`
	// Jitter is by which part of it an interval is longer or shorter at random, so that the checks of many edges don't fall into
	// step. Zero: 0.1. 0.001 to 0.5.
	Jitter float64 `json:"jitter,omitempty"`
	// Timeout ends one check as failed. Zero: the smaller of Interval and 1s. 10ms to 1m.
	Timeout Duration `json:"timeout,omitempty"`
	// Rise is how many checks in a row must pass for a node that was down to be up. Zero: 2. 1 to 100.
	Rise int `json:"rise,omitempty"`
	// Fall is how many checks in a row must fail for a node that was up to be down. Zero: 2. 1 to 100.
	Fall int `json:"fall,omitempty"`
}

// WithDefaults returns h with every zero field that its type uses replaced by its default, but for Host and ServerName, which come
// from the node's address.
func (h HealthCheck) WithDefaults() HealthCheck {
	h.Type = h.effectiveType()
	switch h.Type {
	case CheckHTTP, CheckHTTPS:
		h.Path = orText(h.Path, "/healthz")
		h.Method = orText(h.Method, "GET")
		if len(h.Status) == 0 {
			h.Status = []string{"200-399"}
		}
	case CheckMCP:
		h.Path = orText(h.Path, "/mcp")
		h.Era = Era(orText(string(h.Era), string(EraModern)))
	}
	h.Interval = Duration(h.Interval.Or(time.Second))
	h.FastInterval = Duration(h.FastInterval.Or(min(h.Interval.Std(), max(h.Interval.Std()/4, 50*time.Millisecond))))
	h.Timeout = Duration(h.Timeout.Or(min(h.Interval.Std(), time.Second)))
	if h.Jitter == 0 {
		h.Jitter = 0.1
	}
	if h.Rise == 0 {
		h.Rise = 2
	}
	if h.Fall == 0 {
		h.Fall = 2
	}
	return h
}

func (h HealthCheck) effectiveType() CheckType {
	switch {
	case h.Type != "":
		return h.Type
	case h.Path != "":
		return CheckHTTP
	}
	return CheckTCP
}

// UsesTLS reports whether the check goes within TLS.
func (h HealthCheck) UsesTLS() bool {
	return h.Type == CheckTLS || h.Type == CheckHTTPS || h.TLS
}

// PassesWith reports whether Status has a code. Status is as WithDefaults returns it, and valid.
func (h HealthCheck) PassesWith(code int) bool {
	return slices.ContainsFunc(h.Status, func(s string) bool {
		low, high, err := statusRange(s)
		return err == nil && low <= code && code <= high
	})
}

// statusRange reads "204" or "200-399".
func statusRange(s string) (low, high int, err error) {
	from, to, isRange := strings.Cut(s, "-")
	if !isRange {
		to = from
	}
	low, err = strconv.Atoi(from)
	if err == nil {
		high, err = strconv.Atoi(to)
	}
	if err != nil || len(from) != 3 || len(to) != 3 || low < 200 || high > 599 || low > high {
		return 0, 0, fmt.Errorf("%q is not a status or a range of them; want 200 to 599, as in \"204\" or \"200-399\"", clip(s))
	}
	return low, high, nil
}

// orText returns s, or def where s is empty.
func orText(s, def string) string {
	if s == "" {
		return def
	}
	return s
}

// Bounds of a check's fields. Ours.
const (
	maxCheckHeaders = 16
	maxHeaderBytes  = 1024
	maxStatuses     = 16
	maxBodyBytes    = 256
	maxServiceBytes = 256
)

var checkTypes = []CheckType{CheckTCP, CheckTLS, CheckHTTP, CheckHTTPS, CheckGRPC, CheckMCP}

func (h HealthCheck) check(c *checker) {
	if h.Type != "" && !slices.Contains(checkTypes, h.Type) {
		c.mistake("health_check.type", "%q is not a check; want tcp, tls, http, https, grpc or mcp", clip(string(h.Type)))
		return // which fields it may have, nobody knows
	}
	h.checkPlace(c)
	h.checkRequest(c)
	h.checkTLS(c)
	c.duration("health_check.interval", h.Interval, 50*time.Millisecond, time.Hour)
	c.duration("health_check.fast_interval", h.FastInterval, 20*time.Millisecond, h.WithDefaults().Interval.Std())
	c.ratio("health_check.jitter", h.Jitter, 0.001, 0.5)
	c.duration("health_check.timeout", h.Timeout, 10*time.Millisecond, time.Minute)
	c.integer("health_check.rise", h.Rise, 1, 100)
	c.integer("health_check.fall", h.Fall, 1, 100)
}

// checkPlace refuses fields that checks of the type don't use, so that none is set in vain.
func (h HealthCheck) checkPlace(c *checker) {
	web := []CheckType{CheckHTTP, CheckHTTPS}
	asking := append(web, CheckGRPC, CheckMCP)
	for _, f := range []struct {
		name string
		set  bool
		of   []CheckType
	}{
		{"method", h.Method != "", web}, {"status", len(h.Status) > 0, web}, {"body", h.Body != "", web},
		{"path", h.Path != "", append(web, CheckMCP)}, {"host", h.Host != "", asking}, {"headers", len(h.Headers) > 0, asking},
		{"service", h.Service != "", []CheckType{CheckGRPC}}, {"era", h.Era != "", []CheckType{CheckMCP}},
		{"tls", h.TLS, []CheckType{CheckTLS, CheckHTTPS, CheckGRPC, CheckMCP}},
	} {
		if t := h.effectiveType(); f.set && !slices.Contains(f.of, t) {
			c.mistake("health_check."+f.name, "checks of type %s do not use it; remove it or set another type", t)
		}
	}
}

func (h HealthCheck) checkRequest(c *checker) {
	if h.Method != "" && !slices.Contains([]string{"GET", "HEAD", "OPTIONS", "POST"}, h.Method) {
		c.mistake("health_check.method", "%q is not a method of checks; want GET, HEAD, OPTIONS or POST", clip(h.Method))
	}
	if h.Method == "HEAD" && h.Body != "" {
		c.mistake("health_check.body", "an answer to HEAD has no body; remove it or the method")
	}
	if h.Path != "" {
		c.path("health_check.path", h.Path)
	}
	if h.Host != "" && !isHost(h.Host) {
		c.mistake("health_check.host", "%q is not a host; want NAME, NAME:PORT or an address", clip(h.Host))
	}
	if len(h.Status) > maxStatuses {
		c.mistake("health_check.status", "%d entries; at most %d", len(h.Status), maxStatuses)
	}
	for i, s := range h.Status {
		if _, _, err := statusRange(s); err != nil {
			c.mistake(fmt.Sprintf("health_check.status[%d]", i), "%s", err)
		}
	}
	c.text("health_check.body", h.Body, maxBodyBytes)
	c.text("health_check.service", h.Service, maxServiceBytes)
	if h.Era != "" && h.Era != EraModern && h.Era != EraLegacy {
		c.mistake("health_check.era", "%q is not an era; want modern or legacy", clip(string(h.Era)))
	}
	h.checkHeaders(c)
}

// framing are fields that the check writes itself, or that would make its request another one.
var framing = []string{"host", "connection", "content-length", "transfer-encoding", "te", "trailer", "upgrade", "expect", "keep-alive", "proxy-connection"}

func (h HealthCheck) checkHeaders(c *checker) {
	if len(h.Headers) > maxCheckHeaders {
		c.mistake("health_check.headers", "%d fields; at most %d", len(h.Headers), maxCheckHeaders)
	}
	for _, name := range slices.Sorted(maps.Keys(h.Headers)) {
		at := "health_check.headers." + strconv.QuoteToASCII(clip(name))
		switch {
		case !isToken(name):
			c.mistake(at, "it is not a field's name")
		case slices.Contains(framing, strings.ToLower(name)):
			c.mistake(at, "the check writes this field itself; remove it (host has a setting of its own)")
		}
		v := h.Headers[name]
		if len(v) > maxHeaderBytes || strings.ContainsFunc(v, func(r rune) bool { return r < ' ' || r >= 0x7f }) || strings.TrimSpace(v) != v {
			c.mistake(at, "want at most %d bytes of printable ASCII without a blank at either end", maxHeaderBytes)
		}
	}
}

func (h HealthCheck) checkTLS(c *checker) {
	h.Type = h.effectiveType()
	if !h.UsesTLS() && h.ServerName != "" {
		c.mistake("health_check.server_name", "the check has no TLS; remove it or set type: https or tls, or tls: true with grpc or mcp")
	}
	if !h.UsesTLS() && h.SkipVerify {
		c.mistake("health_check.skip_verify", "the check has no TLS; remove it or set type: https or tls, or tls: true with grpc or mcp")
	}
	if h.ServerName != "" && (!isHost(h.ServerName) || strings.ContainsAny(h.ServerName, ":[")) {
		c.mistake("health_check.server_name", "%q is not a name; want one as in a certificate, without a port", clip(h.ServerName))
	}
}

// isHost reports whether s may stand in a Host field: letters, digits, and what names, ports and addresses in brackets have.
func isHost(s string) bool {
	if len(s) > 259 { // a name and a port
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-._:[]", r))
	})
}
