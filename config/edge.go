// SPDX-License-Identifier: Apache-2.0

package config

import (
	"net/netip"
	"time"

	"meridian/topology"
)

// Edge is the configuration of one `edge serve`. The zero value of a field stands for its default. Exactly one of
// etcd.endpoints and topology_file says where the topology comes from. `edge reload` and SIGHUP put a changed file in force
// while the edge runs, but for name, region, dns.listen, admin.listen, https.http3, etcd, topology_file and data_dir.
type Edge struct {
	// Name is the edge's own, unique over all regions. Required: lower-case letters, digits, '-' and '.', at most 63 bytes.
	Name topology.EdgeID `json:"name"`
	// Region is where the edge runs; the topology must hold it. Required.
	Region topology.RegionID `json:"region"`
	// Zone is the failure domain within the region. Empty: none.
	Zone string `json:"zone,omitempty"`
	// HTTP is the data plane.
	HTTP HTTP `json:"http"`
	// HTTPS is the data plane over TLS.
	HTTPS HTTPS `json:"https,omitzero"`
	// DNS is the authority.
	DNS DNS `json:"dns"`
	// Admin is the admin API with metrics and readiness.
	Admin Admin `json:"admin"`
	// Advertise is what others are told of where this edge can be reached.
	Advertise Advertise `json:"advertise"`
	// Etcd is the store of the topology.
	Etcd Etcd `json:"etcd,omitzero"`
	// TopologyFile is the path of a topology file to use instead of etcd; it is read again when it changes. Empty: etcd.
	TopologyFile string `json:"topology_file,omitempty"`
	// DataDir is the directory for the last good topology, from which the edge starts while etcd is away. One edge at
	// a time may use it. Empty: /var/lib/meridian/NAME. Not used with topology_file.
	DataDir string `json:"data_dir,omitempty"`
	// Geo is where the places of clients come from.
	Geo Geo `json:"geo,omitzero"`
	// AccessLog is where a line for each request goes: off, stderr or the path of a file, which is opened again on
	// SIGHUP. Empty: off.
	AccessLog string `json:"access_log"`
	// Limits bound what clients can take.
	Limits Limits `json:"limits"`
	// TrustedProxies are the addresses, as 10.0.0.0/8, of proxies in front of this edge. What they say of a client in
	// X-Forwarded-For, -Proto and -Host is believed, and they may send managed headers. At most 64. Empty: nobody.
	TrustedProxies []netip.Prefix `json:"trusted_proxies,omitempty"`
	// Headers is what clients may not say.
	Headers Headers `json:"headers,omitzero"`
	// Explain is who may ask why a request goes where it goes.
	Explain Explain `json:"explain,omitzero"`
	// Retries bound how much of the traffic may be retries.
	Retries Retries `json:"retries"`
	// Shutdown is how the edge ends on SIGTERM.
	Shutdown Shutdown `json:"shutdown"`
	// MCP bounds what the edge remembers of MCP sessions.
	MCP MCP `json:"mcp"`
	// Log is the program's own log on standard error.
	Log Log `json:"log"`
}

// HTTP configures the data plane.
type HTTP struct {
	// Listen are the addresses, IP:PORT, on which clients are served. At most 16. Port 0: any free one. Empty: 0.0.0.0:8080.
	Listen []string `json:"listen"`
}

// DNS configures the authority.
type DNS struct {
	// Listen are the addresses, IP:PORT, on which queries are answered, each over UDP and TCP. At most 16. Empty: no DNS.
	Listen []string `json:"listen"`
}

// Admin configures the admin API.
type Admin struct {
	// Listen is the address, IP:PORT. It has no access control: keep it off public networks, but within reach of the
	// other regions' edges, which probe it. Empty: 127.0.0.1:9090.
	Listen string `json:"listen"`
}

// Advertise is where this edge can be reached.
type Advertise struct {
	// Addresses are the IP addresses that DNS answers for the edge's region: 1 to 8. Empty: those of http.listen,
	// which then must not be 0.0.0.0 or [::].
	Addresses []netip.Addr `json:"addresses,omitempty"`
	// HTTP is the IP:PORT of the data plane, for people. Empty: the first of http.listen that names an address and a port.
	HTTP string `json:"http,omitempty"`
	// DNS is the IP:PORT of the authority, for people. Empty: the first of dns.listen that names an address and a port.
	DNS string `json:"dns,omitempty"`
	// Admin is the IP:PORT at which other regions' edges probe this one. Empty: admin.listen, if that names an address
	// and a port.
	Admin string `json:"admin,omitempty"`
}

// Etcd says where the topology is stored.
type Etcd struct {
	// Endpoints are the members of the cluster, as in http://10.0.0.1:2379. At most 16. Empty: topology_file is used.
	Endpoints []string `json:"endpoints,omitempty"`
}

// Geo says where the places of clients come from.
type Geo struct {
	// Database is the path of an MMDB file with countries or cities. Empty: the embedded table of countries.
	Database string `json:"database,omitempty"`
}

// Limits bound what clients can take. A larger figure serves odder clients and costs memory per connection.
type Limits struct {
	// MaxHeadBytes bounds the request line and the headers; beyond it: 431. Zero: 32768. 1024 to 1048576.
	MaxHeadBytes int `json:"max_head_bytes"`
	// MaxHeaderCount bounds the number of header fields; beyond it: 431. Zero: 100. 10 to 1000.
	MaxHeaderCount int `json:"max_header_count"`
	// HeadTimeout bounds the time in which a client sends the head of a request; on HTTP/3 that of a connection's first, later
	// ones have idle_timeout. Zero: 10s. 100ms to 5m.
	HeadTimeout topology.Duration `json:"head_timeout"`
	// IdleTimeout is how long a client's connection is kept between two requests. Zero: 1m. 1s to 1h.
	IdleTimeout topology.Duration `json:"idle_timeout"`
	// MinBodyRate is how many bytes per second a request's body must bring, over each 20s of waiting for it, until the
	// answer begins; else: 408. Zero: 500. -1: none. -1 to 1000000.
	MinBodyRate int `json:"min_body_rate"`
	// WriteTimeout bounds the time in which a client takes what is written to it, at most 32 KiB at a time; then it is
	// cut off. Zero: 30s. 100ms to 10m.
	WriteTimeout topology.Duration `json:"write_timeout"`
	// MaxRequestsPerConnection bounds the requests of one connection, which ends after the last, by Connection: close or
	// GOAWAY. Zero: 10000. 1 to 1000000000.
	MaxRequestsPerConnection int `json:"max_requests_per_connection"`
	// MaxStreams bounds the requests that are under way at once on one connection of HTTP/2 or HTTP/3. Those of HTTP/2 follow a
	// reload, those of HTTP/3 keep what they began with. Zero: 100. 1 to 1000.
	MaxStreams int `json:"max_streams"`
	// MaxConnections bounds the clients' connections at once, over all listeners and protocols; beyond it new ones are
	// refused. It is lowered to 15/16 of the files that the program may open. Zero: 16384. 1 to 10000000.
	MaxConnections int `json:"max_connections"`
	// MaxConnectionsPerAddress bounds those of one client address, of IPv6 one /64. Zero: 4096. 1 to max_connections. Many
	// people can be behind one address.
	MaxConnectionsPerAddress int `json:"max_connections_per_address"`
}

// Headers is what clients may not say.
type Headers struct {
	// Managed are further header names that no client may send, also not with "_" or "." for "-" nor in trailers, such as
	// X-Auth-User: they are dropped unless a trusted proxy sends them. At most 64, each of at most 64 bytes.
	Managed []string `json:"managed,omitempty"`
}

// Retries bound how much of a pool's traffic may be retries, so that failing nodes are not finished off by them.
type Retries struct {
	// BudgetPercent is how many retries there may be for 100 requests under way, streams not counted, and beyond that for 100 of the last
	// 5,000 that were answered and have paid for none: the requests of a node that dies are tried elsewhere in one burst. A request that
	// reached no node is tried elsewhere without counting. Zero: 20. 1 to 100.
	BudgetPercent int `json:"budget_percent"`
	// MinConcurrent is how many retries there may be at once however few requests there are. Zero: 3. 1 to 1000.
	MinConcurrent int `json:"min_concurrent"`
	// MaxKeptBodyBytes is up to which size a request's body is kept for another try. Zero: 65536. 1024 to 16777216. Each
	// request with a body may take that much memory.
	MaxKeptBodyBytes int `json:"max_kept_body_bytes"`
}

// Shutdown is how the edge ends.
type Shutdown struct {
	// Grace is how long the edge serves on as before after it has told DNS and load balancers that it leaves; then its
	// clients are told, too. Zero: 0s. 0s to 10m. Longer than the TTL of the names loses no client.
	Grace topology.Duration `json:"grace"`
	// Deadline bounds the wait for requests in flight after that; then they are cut. Zero: 30s. 100ms to 1h.
	Deadline topology.Duration `json:"deadline"`
}

// MCP bounds what the edge remembers of MCP sessions, about 250 bytes each.
type MCP struct {
	// MaxSessions is how many sessions the edge knows the worker of; beyond it the oldest is forgotten. Zero: 1000000.
	// 1 to 10000000.
	MaxSessions int `json:"max_sessions"`
	// SessionIdle is how long a session without requests is remembered. Zero: 1h. 1s to 168h. Shorter than the
	// workers' own limit loses sessions.
	SessionIdle topology.Duration `json:"session_idle"`
}

// Log is the program's own log.
type Log struct {
	// Level is the least that is logged: debug, info, warn or error. Empty: info.
	Level string `json:"level"`
}

// WithDefaults returns e with every zero field replaced by its default.
func (e Edge) WithDefaults() Edge {
	if len(e.HTTP.Listen) == 0 {
		e.HTTP.Listen = []string{"0.0.0.0:8080"}
	}
	if e.DNS.Listen == nil {
		e.DNS.Listen = []string{}
	}
	text(&e.Admin.Listen, "127.0.0.1:9090")
	if e.TopologyFile == "" {
		text(&e.DataDir, "/var/lib/meridian/"+string(e.Name))
	}
	text(&e.AccessLog, "off")
	text(&e.Log.Level, "info")
	e.Advertise = e.advertise()
	e.HTTPS = e.HTTPS.withDefaults()
	e.Limits = e.Limits.withDefaults()
	count(&e.Retries.BudgetPercent, 20)
	count(&e.Retries.MinConcurrent, 3)
	count(&e.Retries.MaxKeptBodyBytes, 64<<10)
	e.Shutdown.Deadline = topology.Duration(e.Shutdown.Deadline.Or(30 * time.Second))
	count(&e.MCP.MaxSessions, 1_000_000)
	e.MCP.SessionIdle = topology.Duration(e.MCP.SessionIdle.Or(time.Hour))
	return e
}

func (l Limits) withDefaults() Limits {
	count(&l.MaxHeadBytes, 32<<10)
	count(&l.MaxHeaderCount, 100)
	l.HeadTimeout = topology.Duration(l.HeadTimeout.Or(10 * time.Second))
	l.IdleTimeout = topology.Duration(l.IdleTimeout.Or(time.Minute))
	count(&l.MinBodyRate, 500)
	l.WriteTimeout = topology.Duration(l.WriteTimeout.Or(30 * time.Second))
	count(&l.MaxRequestsPerConnection, 10000)
	count(&l.MaxStreams, 100)
	count(&l.MaxConnections, 16384)
	count(&l.MaxConnectionsPerAddress, min(4096, l.MaxConnections))
	return l
}

// advertise fills in what the listeners say.
func (e Edge) advertise() Advertise {
	a := e.Advertise
	if len(a.Addresses) == 0 {
		a.Addresses = addressesOf(e.HTTP.Listen)
	}
	text(&a.HTTP, reachable(e.HTTP.Listen...))
	text(&a.DNS, reachable(e.DNS.Listen...))
	text(&a.Admin, reachable(e.Admin.Listen))
	return a
}

// addressesOf returns the distinct addresses of listeners, or nil if one of them takes any address.
func addressesOf(listen []string) []netip.Addr {
	var out []netip.Addr
	seen := map[netip.Addr]bool{}
	for _, s := range listen {
		ap, err := netip.ParseAddrPort(s)
		if err != nil || ap.Addr().IsUnspecified() {
			return nil
		}
		if !seen[ap.Addr()] {
			out = append(out, ap.Addr())
		}
		seen[ap.Addr()] = true
	}
	return out
}

// reachable returns the first listener that others can be told of as it stands, or "".
func reachable(listen ...string) string {
	for _, s := range listen {
		if ap, err := netip.ParseAddrPort(s); err == nil && !ap.Addr().IsUnspecified() && ap.Port() != 0 {
			return s
		}
	}
	return ""
}

// Resource returns what the edge tells others of itself.
func (e Edge) Resource() *topology.Edge {
	return &topology.Edge{
		Name: e.Name, Region: e.Region, Zone: e.Zone,
		Addresses: e.Advertise.Addresses, HTTP: e.Advertise.HTTP, DNS: e.Advertise.DNS, Admin: e.Advertise.Admin,
	}
}

func text(p *string, def string) {
	if *p == "" {
		*p = def
	}
}

func count(p *int, def int) {
	if *p == 0 {
		*p = def
	}
}
