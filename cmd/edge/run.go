// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"meridian/admin"
	"meridian/balancer"
	"meridian/config"
	"meridian/dns"
	"meridian/geo"
	"meridian/geo/mmdb"
	"meridian/health"
	"meridian/health/probe"
	"meridian/mcp"
	"meridian/proxy"
	"meridian/proxy/drain"
	"meridian/proxy/tlsconf"
	"meridian/topology"
)

// server is one edge, wired.
type server struct {
	cfg     *config.Edge // as the edge began; a reload changes current
	log     *slog.Logger
	level   *slog.LevelVar
	started time.Time
	ending  atomic.Bool

	store    topology.Store
	table    *balancer.Table
	tracker  *health.Tracker
	sessions *mcp.Sessions
	fleet    *fleet
	upkeep   upkeep
	source   source
	metrics  *metrics.Set
	access   *reopener
	places   places
	reread   reread

	reloading sync.Mutex   // one at a time; guards the fields below
	current   *config.Edge // in force
	database  *mmdb.DB     // nil: the embedded table

	targeting sync.Mutex // makes retarget single

	prober *probe.Prober
	proxy  *proxy.Server
	drains *drain.Keeper
	tls    *tlsconf.Store
	dns    *dns.Server // nil: no DNS
	admin  *admin.Server

	lastAcks atomic.Pointer[[]topology.Ack]
}

// serve runs an edge until ctx ends.
func serve(ctx context.Context, cfg *config.Edge, again reread, stderr io.Writer) error {
	s, err := newServer(cfg, again, stderr)
	if err != nil {
		return err
	}
	defer s.close()
	return ended(s.run(ctx), ctx.Err())
}

// newServer builds all parts and binds every listener: what is wrong with the configuration or the ports shows here.
func newServer(cfg *config.Edge, again reread, stderr io.Writer) (_ *server, err error) {
	log, level, err := logger(stderr, cfg.Log.Level)
	if err != nil {
		return nil, err
	}
	s := &server{
		cfg: cfg, current: cfg, reread: again, log: log, level: level, started: time.Now().UTC().Truncate(time.Millisecond),
		table: balancer.NewTable(), metrics: metrics.NewSet(),
		sessions: mcp.NewSessions(cfg.MCP.MaxSessions, cfg.MCP.SessionIdle.Std()),
	}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	s.table.SetZone(cfg.Zone)
	s.upkeep.init(s.table, s.compare, s.checkStalled)
	s.tracker = health.NewTracker(s.verdictChanged)
	s.tracker.Seed(rand.Uint64())
	if s.access, err = openAccessLog(cfg.AccessLog, stderr); err != nil {
		return nil, err
	}
	if err := s.buildFleet(); err != nil {
		return nil, err
	}
	if err := s.buildSource(); err != nil {
		return nil, err
	}
	s.prober = probe.New(probe.Config{Tracker: s.tracker, Report: s.fleet.learn, Logger: log})
	if err := s.buildFronts(); err != nil {
		return nil, err
	}
	s.registerMetrics()
	return s, s.load()
}

func (s *server) buildFleet() error {
	s.places.use(geo.Embedded())
	commit, _, err := s.prepareGeo(s.cfg.Geo.Database, true)
	if err != nil {
		return err
	}
	commit()
	self := *s.cfg.Resource()
	self.Started = s.started
	s.fleet = &fleet{
		self: self, started: s.started, store: &s.store, table: s.table, tracker: s.tracker, locator: &s.places,
		stale:  func() bool { return s.source.status().Stale },
		ending: s.ending.Load, acks: s.acks, changed: func() { s.source.touch() },
	}
	s.fleet.init()
	return nil
}

func (s *server) buildSource() error {
	if s.cfg.TopologyFile != "" {
		s.source = newFileSource(s.cfg, s.log, s.publish)
		return nil
	}
	src, err := newEtcdSource(s.cfg, s.log, s.publish, s.foundDown, presence{value: s.presence, acks: s.acks})
	if err != nil {
		return err // a nil *etcdSource in a source would not be nil
	}
	s.source = src
	return nil
}

// load reads a topology file once, so that a wrong one stops the start.
func (s *server) load() error {
	if f, ok := s.source.(*fileSource); ok {
		return f.Load()
	}
	return nil
}

// presence is what the others are told of this edge.
func (s *server) presence() []byte {
	e := s.fleet.me()
	e.Leaving = s.ending.Load()
	e.Report = s.fleet.outlook.Load().report
	return topology.Encode(&e)
}

func (s *server) acks() []topology.Ack {
	if a := s.lastAcks.Load(); a != nil {
		return *a
	}
	return nil
}

// publish takes a new snapshot into use: first where picks are made, so that a drain holds from the moment at which
// anybody can see it, then for everybody else.
func (s *server) publish(snap *topology.Snapshot) {
	s.upkeep.submit(s.table.Apply(snap, regionOrder(snap, s.cfg.Region)))
	s.store.Swap(snap)
	s.retarget()
	s.drains.Kick()
	s.fleet.kick()
}

// verdictChanged hands a verdict on.
func (s *server) verdictChanged(id string, v health.Verdict) {
	if !strings.HasPrefix(id, edgeTarget) {
		s.table.SetStanding(topology.NodeID(id), standing(v.State))
		if v.State == health.Down {
			defer s.leaveDown(topology.NodeID(id))
		}
	} else if v.State == health.Up || v.State == health.Down {
		s.retarget() // the nodes that it checks are others' now, or its own again
	}
	s.log.Info("health", "of", id, "state", v.State.String(), "reason", v.Reason)
	s.fleet.kick()
}

// foundDown reports whether checks, this edge's or the others', find a node or an edge dead.
func (s *server) foundDown(r topology.Resource) bool {
	switch r := r.(type) {
	case *topology.Node:
		return s.table.Load(r.Name).Standing == balancer.StandingDown
	case *topology.Edge:
		return s.tracker.Verdict(edgeTarget+string(r.Name)).State == health.Down
	}
	return false
}

// compare has nodes ejected that do much worse than the others of their tier, by what the balancer knows.
func (s *server) compare(now time.Time) {
	snap := s.store.Load()
	if snap == nil {
		return
	}
	var slow []health.Slowness
	for _, p := range snap.Pools {
		for _, n := range s.table.Slowness(p.Name) {
			slow = append(slow, health.Slowness{ID: string(n.Node), S: n.S, Median: n.Median, MAD: n.MAD})
		}
	}
	s.tracker.Compare(now, slow)
}

func standing(s health.State) balancer.Standing {
	switch {
	case s == health.Unknown:
		return balancer.StandingUnknown
	case s.CanPick():
		return balancer.StandingUp
	case s == health.Ejected:
		return balancer.StandingEjected
	case s == health.Refused:
		return balancer.StandingRefused
	}
	return balancer.StandingDown
}

// empty reports whether there is a topology that gives the edge nothing to serve.
func (s *server) empty() bool {
	snap := s.store.Load()
	return snap != nil && len(snap.Routes) == 0 && len(snap.Names) == 0
}

// ready says whether the edge should get traffic.
func (s *server) ready() (bool, string) {
	switch {
	case s.ending.Load():
		return false, "the edge is ending"
	case s.empty():
		return false, "the topology has no route and no name: write one with edge apply; edge status lists values that were refused"
	case s.store.Load().DrainOfEdge(s.cfg.Name) != nil:
		return false, "the edge is drained; edge undrain edge/" + string(s.cfg.Name) + " takes it back"
	case s.store.Load() == nil:
		return false, "there is no topology yet: etcd has not answered and there is no last good one on disk"
	}
	return true, ""
}

// report is what other edges get in answer to a probe: nothing once the edge is ending, so that they stop sending to it.
func (s *server) report() *topology.Report {
	if s.ending.Load() {
		return nil
	}
	return s.fleet.outlook.Load().report
}

// run serves until ctx ends. The proxy ends first, with its grace; what it needs to end well (etcd for the word on
// drains, DNS, checks, admin) ends after it.
func (s *server) run(ctx context.Context) error {
	back, endBack := context.WithCancel(context.WithoutCancel(ctx))
	defer endBack()
	parts := []func(context.Context) error{
		s.source.run, s.upkeep.run, s.upkeep.tick, s.prober.Run, s.fleet.run, s.drains.Run, s.admin.Run, s.watchSignals, s.expireSessions,
		func(back context.Context) error {
			defer endBack()
			front, endFront := context.WithCancel(ctx)
			defer endFront()
			defer context.AfterFunc(back, endFront)() // another part has failed: the edge ends
			return s.proxy.Run(front)
		},
		func(back context.Context) error { return s.announceEnd(ctx, back) },
	}
	if s.dns != nil {
		parts = append(parts, s.dns.Run)
	}
	s.log.Info("edge is serving", "edge", s.cfg.Name, "region", s.cfg.Region, "http", fmt.Sprint(s.proxy.Addrs()), "admin", s.admin.Addr().String())
	err := together(back, parts...)
	s.log.Info("edge has ended", "reason", oneLine(err.Error()))
	return err
}

// announceEnd tells the others that the edge is ending as soon as ctx ends.
func (s *server) announceEnd(ctx, back context.Context) error {
	select {
	case <-ctx.Done():
		s.ending.Store(true)
		s.source.touch()
		s.fleet.kick()
	case <-back.Done():
	}
	<-back.Done()
	return back.Err()
}

// expireEvery is how often idle sessions are forgotten where no traffic does it.
const expireEvery = time.Minute

func (s *server) expireSessions(ctx context.Context) error {
	tick := time.NewTicker(expireEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case now := <-tick.C:
			s.sessions.Expire(now)
		}
	}
}

// close releases what newServer took. The listeners of a server that never ran end with the process.
func (s *server) close() {
	if s.source != nil {
		s.source.close()
	}
	s.access.Close()
}
