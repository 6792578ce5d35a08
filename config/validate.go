// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"meridian/topology"
)

// validator collects the mistakes of a configuration.
type validator struct{ report }

func (v *validator) mistake(field, format string, args ...any) { v.add(0, 0, field, format, args...) }

// Validate returns every mistake of a configuration whose defaults are filled in, without places.
func (e *Edge) Validate() []Problem {
	v := &validator{}
	v.resource(e)
	v.listeners("http.listen", e.HTTP.Listen)
	v.https(e.HTTPS)
	v.listeners("dns.listen", e.DNS.Listen)
	v.listener("admin.listen", e.Admin.Listen)
	v.distinct(e)
	v.source(e)
	for field, path := range map[string]string{"topology_file": e.TopologyFile, "data_dir": e.DataDir, "geo.database": e.Geo.Database, "access_log": e.AccessLog} {
		v.path(field, path)
	}
	v.limits(e)
	v.headers(e)
	v.explain(e)
	if !slices.Contains([]string{"debug", "info", "warn", "error"}, e.Log.Level) {
		v.mistake("log.level", "%q is not a level; want debug, info, warn or error", clip(e.Log.Level))
	}
	return v.problems()
}

// resource checks what the edge will tell others by the rules of the topology.
func (v *validator) resource(e *Edge) {
	needed := e.TopologyFile == "" || len(e.DNS.Listen) > 0
	for _, m := range topology.Check(e.Resource()) {
		field, required := m.Field, map[string]bool{"name": e.Name == "", "region": e.Region == ""}
		switch {
		case required[field]:
			v.mistake(field, "it is missing; say it as in \"%s: %s\"", field, map[string]string{"name": "edge-1", "region": "eu-central-1"}[field])
		case field == "addresses" && len(e.Advertise.Addresses) == 0:
			if needed {
				v.mistake("advertise.addresses", "it is missing, and http.listen does not say an address; list those at which clients reach this edge")
			}
		case strings.HasPrefix(field, "addresses"), field == "http", field == "dns", field == "admin":
			v.mistake("advertise."+field, "%s", m.Message)
		default:
			v.mistake(field, "%s", m.Message)
		}
	}
}

const maxListeners = 16 // Ours: more than any machine needs, and few enough to open at once.

func (v *validator) listeners(field string, listen []string) {
	if len(listen) > maxListeners {
		v.mistake(field, "%d listeners; at most %d", len(listen), maxListeners)
	}
	for i, s := range listen {
		v.listener(fmt.Sprintf("%s[%d]", field, i), s)
	}
}

func (v *validator) listener(field, s string) {
	ap, err := netip.ParseAddrPort(s)
	switch {
	case err != nil:
		v.mistake(field, "%q is not IP:PORT; want it as in 0.0.0.0:8080 or [::1]:8080", clip(s))
	case ap.Addr().IsMulticast():
		v.mistake(field, "%s is a multicast address; want one of this machine, or 0.0.0.0 or [::] for all", ap.Addr())
	}
}

// distinct refuses two TCP listeners at one address; DNS has one, too.
func (v *validator) distinct(e *Edge) {
	type listener struct {
		field string
		netip.AddrPort
	}
	var all []listener
	add := func(field, address string) {
		ap, err := netip.ParseAddrPort(address)
		if err != nil || ap.Port() == 0 {
			return
		}
		for _, other := range all {
			if ap.Port() == other.Port() && overlap(ap.Addr(), other.Addr()) {
				v.mistake(field, "%s overlaps with %s of %s; want another port, or one of them", ap, other.AddrPort, other.field)
				break
			}
		}
		all = append(all, listener{field, ap})
	}
	for i, s := range e.HTTP.Listen {
		add(fmt.Sprintf("http.listen[%d]", i), s)
	}
	for i, s := range e.HTTPS.Listen {
		add(fmt.Sprintf("https.listen[%d]", i), s)
	}
	for i, s := range e.DNS.Listen {
		add(fmt.Sprintf("dns.listen[%d]", i), s)
	}
	add("admin.listen", e.Admin.Listen)
}

// overlap reports whether the system refuses to listen on both addresses at one port. Listening on [::] takes IPv4, too.
func overlap(a, b netip.Addr) bool {
	any4, any6 := netip.IPv4Unspecified(), netip.IPv6Unspecified()
	return a == b || a == any6 || b == any6 || (a == any4 && b.Is4()) || (b == any4 && a.Is4())
}

// source checks where the topology comes from.
func (v *validator) source(e *Edge) {
	switch {
	case e.TopologyFile == "" && len(e.Etcd.Endpoints) == 0:
		v.mistake("", "nothing says where the topology is; want etcd.endpoints or topology_file")
	case e.TopologyFile != "" && len(e.Etcd.Endpoints) > 0:
		v.mistake("topology_file", "etcd.endpoints is set too; want one of them")
	}
	if len(e.Etcd.Endpoints) > maxListeners {
		v.mistake("etcd.endpoints", "%d endpoints; at most %d", len(e.Etcd.Endpoints), maxListeners)
	}
	for i, s := range e.Etcd.Endpoints {
		u, err := url.Parse(s)
		if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" || u.Port() == "" || u.User != nil || strings.Trim(u.Path, "/")+u.RawQuery+u.Fragment != "" {
			v.mistake(fmt.Sprintf("etcd.endpoints[%d]", i), "%q is not an endpoint; want it as in http://10.0.0.1:2379", clip(s))
		}
	}
}

func (v *validator) limits(e *Edge) {
	l := e.Limits
	v.integer("limits.max_head_bytes", l.MaxHeadBytes, 1024, 1<<20)
	v.integer("limits.max_header_count", l.MaxHeaderCount, 10, 1000)
	v.duration("limits.head_timeout", l.HeadTimeout, 100*time.Millisecond, 5*time.Minute)
	v.duration("limits.idle_timeout", l.IdleTimeout, time.Second, time.Hour)
	v.integer("limits.min_body_rate", l.MinBodyRate, -1, 1_000_000)
	v.duration("limits.write_timeout", l.WriteTimeout, 100*time.Millisecond, 10*time.Minute)
	v.integer("limits.max_requests_per_connection", l.MaxRequestsPerConnection, 1, 1_000_000_000)
	v.integer("limits.max_streams", l.MaxStreams, 1, 1000)
	v.integer("limits.max_connections", l.MaxConnections, 1, 10_000_000)
	v.integer("limits.max_connections_per_address", l.MaxConnectionsPerAddress, 1, max(1, l.MaxConnections))
	v.integer("retries.budget_percent", e.Retries.BudgetPercent, 1, 100)
	v.integer("retries.min_concurrent", e.Retries.MinConcurrent, 1, 1000)
	v.integer("retries.max_kept_body_bytes", e.Retries.MaxKeptBodyBytes, 1024, 16<<20)
	v.duration("shutdown.grace", e.Shutdown.Grace, 0, 10*time.Minute)
	v.duration("shutdown.deadline", e.Shutdown.Deadline, 100*time.Millisecond, time.Hour)
	v.integer("mcp.max_sessions", e.MCP.MaxSessions, 1, 10_000_000)
	v.duration("mcp.session_idle", e.MCP.SessionIdle, time.Second, 168*time.Hour)
}

func (v *validator) integer(field string, n, low, high int) {
	if n < low || n > high {
		v.mistake(field, "%d is out of bounds; want %d to %d", n, low, high)
	}
}

func (v *validator) duration(field string, d topology.Duration, low, high time.Duration) {
	if d.Std() < low || d.Std() > high {
		v.mistake(field, "%s is out of bounds; want %s to %s", d, low, high)
	}
}
