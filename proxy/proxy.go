// SPDX-License-Identifier: Apache-2.0

// Package proxy is the data plane: it listens for clients, finds the route of each request, has a node picked and relays
// the request and its answer, both as they come, without buffering them.
//
// Its engines (proxy/http1, proxy/http2, proxy/http3) turn bytes into exchanges (proxy/exchange); proxy/upstream holds the connections to nodes;
// proxy/drain acknowledges drains. It leaves to others which node is right (balancer), what a session is (mcp), the verdict
// on a node (health, which it tells the outcomes) and where the topology comes from.
//
// Server.Run owns all goroutines: one per listener and client connection that is in use, one for those that wait, at most
// two more per request that streams, the access log's and the upstream pool's. It returns when all have ended.
//
//	s, err := proxy.New(proxy.Config{Listen: []string{":8080"}, Snapshot: store.Load, Table: table, Sessions: sessions})
//	err = s.Listen()     // a port that is taken shows here
//	err = s.Run(ctx)     // serves until ctx ends, then gracefully stops
package proxy

import (
	"errors"
	"io"
	"log/slog"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"meridian/balancer"
	"meridian/health"
	"meridian/mcp"
	"meridian/proxy/census"
	"meridian/proxy/http1"
	"meridian/proxy/http2"
	"meridian/proxy/http3"
	"meridian/proxy/policy"
	"meridian/proxy/tlsconf"
	"meridian/proxy/turns"
	"meridian/proxy/upstream"
	"meridian/proxy/upstream/h2"
	"meridian/topology"
)

// Config is what a Server needs. Snapshot, Table and Sessions must be set; every other zero value works.
type Config struct {
	// Listen are the addresses to take clients on, as HOST:PORT.
	Listen []string
	// ListenTLS are the addresses to take clients with TLS on. It needs TLS.
	ListenTLS []string
	// TLS has the certificates. It must be set from the start where ListenTLS may come later: see Prepare.
	TLS *tlsconf.Store
	// HTTP3 has HTTP/3 spoken on the UDP ports of ListenTLS, too, and answers over TLS say so (RFC 7838). It can't change.
	HTTP3 bool
	// HandshakeTimeout bounds a TLS handshake. Zero: 10s.
	HandshakeTimeout time.Duration
	// Snapshot returns the current topology. It is called once for a request.
	Snapshot func() *topology.Snapshot
	// Table picks nodes.
	Table *balancer.Table
	// Sessions is the table of MCP sessions.
	Sessions *mcp.Sessions
	// Observe is told how a request to a node ended. Nil: nobody is. It must not block.
	Observe func(node topology.NodeID, o health.Outcome, reason string)
	// Answered is told when a node begins to answer a request, other than with a failure of a gateway, and when that began to be sent. Nil:
	// nobody is. It must not block.
	Answered func(node topology.NodeID, began time.Time)
	// Health is asked for GET /healthz where no route matches that. Nil: it is always well.
	Health func() (ok bool, body []byte)
	// Stopping is called when a graceful stop begins, before Grace, so that readiness can turn false. Nil: nobody is.
	Stopping func()

	// Via is the name by which the edge puts itself into Via and knows a request again that comes through it twice. It must be
	// a token, one of its own for each edge. Empty: "meridian".
	Via string
	// TrustedProxies are the proxies in front of the edge whose word on clients is taken. Empty: nobody's.
	TrustedProxies []netip.Prefix
	// Managed are further header names that no client may send, in any spelling; those of a trusted proxy pass.
	Managed []string

	// ExplainTo are the clients that may ask by X-Edge-Explain why their requests go where they go, by address: the peer's, or where that is a
	// trusted proxy the one that it names. An address of this machine's own counts only without any word of a proxy. Empty: nobody.
	ExplainTo []netip.Prefix

	// Limits bound a request's head; see http1.Limits for the defaults.
	Limits http1.Limits
	// HeadTimeout bounds the time for a request's head. Zero: 10s.
	HeadTimeout time.Duration
	// IdleTimeout is how long a client's connection may wait for its next request. Zero: 60s.
	IdleTimeout time.Duration
	// MinBodyRate is how many bytes per second a request's body must bring. Zero: 500. Negative: none. See policy.Policy.
	MinBodyRate int
	// BodyWindow is the waiting over which that is demanded. Zero: 20s.
	BodyWindow time.Duration
	// WriteTimeout bounds the time in which a client takes what is written to it. Zero: 30s.
	WriteTimeout time.Duration
	// MaxRequests bounds the requests of one client connection. Zero: 10000.
	MaxRequests int
	// MaxStreams bounds the requests of a client connection at one time, in HTTP/2 and 3. Zero: 100.
	MaxStreams int
	// RetryPercent is how many of 100 requests under way to a pool may be retries of what was sent. Zero: 20.
	RetryPercent int
	// MinRetries is how many may be so however few are under way. Zero: 3.
	MinRetries int
	// MaxKeptBody is up to which size a request's body is kept for another try. Zero: 64 KiB, nearly all MCP and API calls.
	MaxKeptBody int
	// MaxConnections bounds the clients' connections over all listeners and protocols. Zero: 16384.
	MaxConnections int
	// MaxConnectionsPerAddress bounds those of one client address. Zero: 4096.
	MaxConnectionsPerAddress int
	// UpstreamIdle is how long a connection to a node is kept unused. Zero: 4s.
	UpstreamIdle time.Duration

	// Grace is how long new connections are still taken after a stop began, for load balancers and resolvers to notice.
	// Zero: none.
	Grace time.Duration
	// Quiet is how long a connection must have had no request, after Grace, to be closed. Zero: 250ms, at most Deadline/2.
	Quiet time.Duration
	// Deadline is how long after Grace requests under way may take before they are cut. Zero: 30s.
	Deadline time.Duration

	// AccessLog gets one line of JSON for each request, from one goroutine. Nil: there is no access log.
	AccessLog io.Writer
	// Metrics is the set to register in. Nil: one of its own that nobody sees.
	Metrics *metrics.Set
	// Logger is for what no caller is told. Nil: discarded.
	Logger *slog.Logger

	managed managed // made of Managed
}

// Server is the data plane of one edge.
type Server struct {
	cfg       Config                 // as the server began; what Prepare can change is in live
	live      atomic.Pointer[Config] // in force
	engine    *http1.Server
	http2     *http2.Server // of the connections that engine hands over
	upstream  *upstream.Pool
	h2        *h2.Pool
	log       *accessLog
	metrics   *proxyMetrics
	relays    registry
	waiting   registry // those in the queues, which have no node
	explained explainedLog
	tunnels   atomic.Int64 // that are open
	places    *census.Census
	shakers   *turns.Turns // places of handshakes that compute
	keys      *http3.Keys
	front     front
	via       via
	stopping  atomic.Bool
	leaving   atomic.Bool // the edge is drained: answers over HTTP/1 are the last of their connections
}

// New checks the configuration and returns a server that has started and opened nothing.
func New(c Config) (*Server, error) {
	if c.Snapshot == nil || c.Table == nil || c.Sessions == nil {
		return nil, errors.New("proxy: Snapshot, Table and Sessions must be set")
	}
	if len(c.Listen)+len(c.ListenTLS) == 0 {
		return nil, errors.New("proxy: no address to listen on")
	}
	if len(c.ListenTLS) > 0 && c.TLS == nil {
		return nil, errors.New("proxy: ListenTLS without TLS")
	}
	c = c.withDefaults()
	s := &Server{
		cfg:      c,
		places:   census.New(),
		shakers:  turns.New(policy.HandshakePlaces()),
		keys:     http3.NewKeys(),
		upstream: upstream.NewPool(upstream.Config{IdleTimeout: c.UpstreamIdle, Limits: c.Limits}),
		h2:       h2.NewPool(h2.Config{IdleTimeout: c.UpstreamIdle, Limits: c.Limits}),
	}
	s.live.Store(&c)
	p := s.policy(&c)
	s.engine = http1.NewServer(p)
	s.engine.OnHTTP2(s.serveHTTP2)
	s.engine.OnAcceptFails(s.acceptFails)
	s.http2 = http2.NewServer(p)
	s.log = newAccessLog(c.AccessLog)
	s.metrics = newMetrics(c.Metrics, s)
	s.via = newVia(c.Via)
	return s, nil
}

func (c Config) withDefaults() Config {
	if c.Observe == nil {
		c.Observe = func(topology.NodeID, health.Outcome, string) {}
	}
	if c.Answered == nil {
		c.Answered = func(topology.NodeID, time.Time) {}
	}
	if c.Health == nil {
		c.Health = func() (bool, []byte) { return true, []byte("ok\n") }
	}
	if c.Stopping == nil {
		c.Stopping = func() {}
	}
	if c.IdleTimeout <= 0 {
		c.IdleTimeout = time.Minute
	}
	if c.RetryPercent <= 0 {
		c.RetryPercent = 20
	}
	if c.MinRetries <= 0 {
		c.MinRetries = 3
	}
	if c.Via == "" {
		c.Via = "meridian"
	}
	c.managed = newManaged(c.Managed)
	if c.MaxKeptBody <= 0 {
		c.MaxKeptBody = 64 << 10
	}
	if c.Deadline <= 0 {
		c.Deadline = 30 * time.Second
	}
	if c.Quiet <= 0 {
		c.Quiet = min(250*time.Millisecond, c.Deadline/2)
	}
	if c.Metrics == nil {
		c.Metrics = metrics.NewSet()
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// serveHTTP2 serves a connection on which HTTP/2 is spoken.
func (s *Server) serveHTTP2(h http1.Handover) {
	s.http2.Serve(h.Conn, h.Read, http2.Peer{Addr: h.Client, Listener: h.Listener, Scheme: h.Scheme, ServerName: h.ServerName, OnLeave: h.OnLeave})
}

// panicked logs a handler's panic: it is a fault of ours that cost one request.
func (s *Server) panicked(v any, stack []byte) {
	s.cfg.Logger.Error("panic while answering a request; the request was cut", "panic", v, "stack", string(stack))
}
