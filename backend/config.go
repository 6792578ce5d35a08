// SPDX-License-Identifier: Apache-2.0

package backend

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/netip"
	"time"

	"meridian/geo"
	"meridian/topology"
)

// Config is what a Worker is and may hold. The zero value serves the default toolset on a free loopback port.
type Config struct {
	// Name, Pool, Region and Zone say who the worker is: in the topology, in /healthz, and in the answers of echo.
	// Empty ones stay empty.
	Name   topology.NodeID
	Pool   topology.PoolID
	Region topology.RegionID
	Zone   string
	// Version is told to clients as the server's. Empty: "dev".
	Version string
	// Listen is the TCP address to listen on, as net.Listen takes it. Empty: "127.0.0.1:0", a free loopback port.
	Listen string
	// Capacity bounds the requests at work at once and the requests a second; over it the answer is 503 with Retry-After.
	// Zero fields don't bound. Requests of a bound session may take as much again, since the client's answer to a
	// question of ours must get in while the call that asked holds its place.
	Capacity topology.Capacity
	// MaxConnections bounds open TCP connections; one more is closed at once. Zero: 16,384.
	MaxConnections int
	// MaxSessions bounds the legacy sessions held; a further initialize gets 503 with Retry-After. Zero: 10,000.
	MaxSessions int
	// SessionIdle ends a session that sent no POST for so long. Zero: 30 minutes.
	SessionIdle time.Duration
	// MaxBodyBytes bounds a request's body; a longer one gets 413. Zero: 4 MiB, the go-sdk's own bound.
	MaxBodyBytes int64
	// BodyTimeout bounds the time to receive a request's body. Zero: 30 seconds.
	BodyTimeout time.Duration
	// ReplayBytes bounds the events kept, over all sessions, for clients that resume a broken stream. Zero: 10 MiB.
	ReplayBytes int
	// Grace is how long the worker goes on as before after Leave, so that every edge learns of it. Zero: 1 second;
	// negative: none.
	Grace time.Duration
	// ShutdownDeadline bounds the whole graceful end, Grace included; then what is left is cut. Zero: 30 seconds.
	ShutdownDeadline time.Duration
	// Toolset is what is served. Zero: ToolsetDefault.
	Toolset Toolset
	// Snapshot returns the topology that fleet_status and explain_route read; nil or a nil result: none seen yet, which
	// both tools say. Called on every call of those tools, from many goroutines.
	Snapshot func() *topology.Snapshot
	// Locate finds the place of an address for locate_ip. Nil: the tool is not offered. Called from many goroutines.
	Locate func(netip.Addr) geo.Place
	// Leave is called once, first of all, when Run is told to end: it publishes that the node is leaving. It must return
	// when its context is done, which is after Grace at the latest. Nil: nobody is told.
	Leave func(context.Context)
	// Logger takes what can't be returned to anybody. Nil: nothing is logged.
	Logger *slog.Logger
}

// Ours. The head is far above what an MCP client sends and far below what would hurt.
const (
	defaultMaxConnections = 16384
	defaultMaxSessions    = 10_000
	defaultSessionIdle    = 30 * time.Minute
	defaultMaxBodyBytes   = 4 << 20
	defaultBodyTimeout    = 30 * time.Second
	defaultReplayBytes    = 10 << 20
	defaultGrace          = time.Second
	defaultDeadline       = 30 * time.Second
	maxHeaderBytes        = 64 << 10
	headTimeout           = 10 * time.Second
	idleConnTimeout       = 2 * time.Minute // above an edge's own, so that the edge is the one to close an idle connection
)

func (c Config) withDefaults() Config {
	setDefault(&c.Version, "dev")
	setDefault(&c.Listen, "127.0.0.1:0")
	setDefault(&c.MaxConnections, defaultMaxConnections)
	setDefault(&c.MaxSessions, defaultMaxSessions)
	setDefault(&c.SessionIdle, defaultSessionIdle)
	setDefault(&c.MaxBodyBytes, defaultMaxBodyBytes)
	setDefault(&c.BodyTimeout, defaultBodyTimeout)
	setDefault(&c.ReplayBytes, defaultReplayBytes)
	setDefault(&c.Grace, defaultGrace)
	setDefault(&c.ShutdownDeadline, defaultDeadline)
	setDefault(&c.Toolset, ToolsetDefault)
	if c.Grace < 0 {
		c.Grace = 0
	}
	if c.Snapshot == nil {
		c.Snapshot = func() *topology.Snapshot { return nil }
	}
	if c.Leave == nil {
		c.Leave = func(context.Context) {}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

func setDefault[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}

// check returns every mistake at once.
func (c Config) check() error {
	var errs []error
	wrong := func(bad bool, format string, args ...any) {
		if bad {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	wrong(c.Capacity.Connections < 0, "capacity.connections: %d is below zero", c.Capacity.Connections)
	wrong(c.Capacity.RPS < 0 || math.IsNaN(c.Capacity.RPS) || math.IsInf(c.Capacity.RPS, 0), "capacity.rps: %v is not a rate", c.Capacity.RPS)
	wrong(c.MaxConnections < 1, "max connections: %d is below 1", c.MaxConnections)
	wrong(c.MaxSessions < 1, "max sessions: %d is below 1", c.MaxSessions)
	wrong(c.SessionIdle < 0, "session idle: %s is below zero", c.SessionIdle)
	wrong(c.MaxBodyBytes < 1, "max body bytes: %d is below 1", c.MaxBodyBytes)
	wrong(c.BodyTimeout < 0, "body timeout: %s is below zero", c.BodyTimeout)
	wrong(c.ReplayBytes < 0, "replay bytes: %d is below zero", c.ReplayBytes)
	wrong(c.ShutdownDeadline < c.Grace, "shutdown deadline: %s is shorter than the grace of %s", c.ShutdownDeadline, c.Grace)
	wrong(!c.Toolset.valid(), "toolset: %q is unknown; want one of %s", c.Toolset, toolsetNames())
	return errors.Join(errs...)
}
