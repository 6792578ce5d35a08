// SPDX-License-Identifier: Apache-2.0

// Package dns is the authority for the names of the topology: it answers over UDP and TCP with the addresses of the
// edges in the region that suits the client, and with the zones' own records.
//
// A packet's way: udp.go and tcp.go own the sockets and their limits; wire parses; authority.go decides, on the zones
// that compile.go made of the snapshot; wire writes. Which region is right, and whether it can serve, is Config.Choose's.
// Not here yet: DNSSEC, cookies, rate limits, static records, transfers.
//
// Run owns every goroutine: a fixed number per UDP socket, one per TCP listener and one per TCP connection, of which
// there is a cap. A query waits for nothing but the processor, so more goroutines would only queue in another place.
//
//	s, err := dns.New(dns.Config{Listen: []string{"127.0.0.1:8053"}, Edge: "eu-1", Snapshot: store.Load, Choose: choose})
//	if err := s.Listen(); err != nil {
//		return err
//	}
//	return s.Run(ctx)
package dns

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"meridian/geo"
	"meridian/topology"
)

// Config is what a Server needs. Snapshot, Choose and one address to listen on must be set.
type Config struct {
	// Listen are IP:PORT or :PORT, each for both UDP and TCP. Port 0: any that is free for both.
	Listen []string
	// Edge is the edge that answers.
	Edge topology.EdgeID
	// Snapshot returns the topology in use, nil before the first. It is called for every query: from memory, at once.
	Snapshot func() *topology.Snapshot
	// Choose returns the region to answer a client with and the addresses of its edges, of both families, in any order.
	// The same client must get the same region until health or topology change, and so must all of Choice.Prefix, which
	// becomes the scope of RFC 7871. Called for every query by many goroutines: from memory, at once.
	Choose func(name *topology.Name, client netip.Addr) (geo.Choice, []netip.Addr)
	// NSID is what a query with that option is told beside the topology's revision (RFC 5001), at most 63 bytes. Empty:
	// the edge's name.
	NSID string
	// Rand returns random bits, which decide the order of addresses. Nil: math/rand/v2. Safe for concurrent use.
	Rand func() uint64
	// MaxConnections bounds the open TCP connections of all listeners. Zero: 1000. A further one is closed at once.
	MaxConnections int
	// MaxConnectionsPerAddress bounds those of one IPv4 address or IPv6 /64. Zero: 100.
	MaxConnectionsPerAddress int
	// ReadTimeout bounds the wait for a connection's first query, for the rest of a query that has begun, and for the
	// client to take an answer. Zero: 2s.
	ReadTimeout time.Duration
	// IdleTimeout bounds the silence between two queries of a connection (RFC 7766, section 6.2.3). Zero: 8s.
	IdleTimeout time.Duration
	// QueriesPerConnection is after how many queries a connection is closed. Zero: 128.
	QueriesPerConnection int
	// Metrics is where the counters go. Nil: the default set of the metrics module.
	Metrics *metrics.Set
	// Logger gets faults of sockets. Nil: none.
	Logger *slog.Logger
}

func (c Config) withDefaults() Config {
	def := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	def(&c.MaxConnections, 1000)
	def(&c.MaxConnectionsPerAddress, 100)
	def(&c.QueriesPerConnection, 128)
	if c.ReadTimeout == 0 {
		c.ReadTimeout = 2 * time.Second
	}
	if c.IdleTimeout == 0 {
		c.IdleTimeout = 8 * time.Second
	}
	if c.NSID == "" {
		c.NSID = string(c.Edge)
	}
	if c.Rand == nil {
		c.Rand = rand.Uint64
	}
	if c.Metrics == nil {
		c.Metrics = metrics.GetDefaultSet()
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

func (c Config) validate() error {
	switch {
	case len(c.Listen) == 0:
		return errors.New("dns: listen is empty; want at least one IP:PORT")
	case c.Snapshot == nil || c.Choose == nil:
		return errors.New("dns: Config.Snapshot and Config.Choose must be set")
	case len(c.NSID) > 63:
		return fmt.Errorf("dns: nsid has %d bytes; at most 63", len(c.NSID))
	case c.MaxConnections < 0 || c.MaxConnectionsPerAddress < 0 || c.QueriesPerConnection < 0:
		return errors.New("dns: a limit of connections or queries is negative")
	case c.ReadTimeout < 0 || c.IdleTimeout < 0:
		return errors.New("dns: a timeout is negative")
	}
	for _, a := range c.Listen {
		if err := checkListen(a); err != nil {
			return err
		}
	}
	return nil
}

// Server is the authority with its sockets.
type Server struct {
	// Set once, never changed.
	cfg   Config
	auth  *authority
	stats *stats
	conns *connections

	sockets []*socket // set by Listen

	panicLog interval
}

// New returns a server that does nothing yet. The error says what is wrong with the configuration.
func New(c Config) (*Server, error) {
	if err := c.validate(); err != nil {
		return nil, err
	}
	c = c.withDefaults()
	st := newStats(c.Metrics)
	return &Server{
		cfg:   c,
		auth:  newAuthority(c, st),
		stats: st,
		conns: newConnections(c.MaxConnections, c.MaxConnectionsPerAddress, st),
	}, nil
}
