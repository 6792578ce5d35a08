// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"syscall"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"meridian/admin"
	"meridian/config"
	"meridian/dns"
	"meridian/health"
	"meridian/proxy"
	"meridian/proxy/drain"
	"meridian/proxy/http1"
	"meridian/topology"
)

// buildFronts makes what clients, resolvers and operators talk to, and binds it.
func (s *server) buildFronts() (err error) {
	if err := s.buildProxy(); err != nil {
		return err
	}
	s.drains = drain.New(drain.Config{
		Table: s.table, Sessions: s.sessions, Publish: s.publishAcks, Cut: s.proxy.CutNode,
		Self: s.drainedSelf(), Resolvers: s.resolvers(),
	})
	if len(s.cfg.DNS.Listen) > 0 {
		s.dns, err = dns.New(dns.Config{
			Listen: s.cfg.DNS.Listen, Edge: s.cfg.Name, Snapshot: s.fleet.snapshot, Choose: s.fleet.answer, Metrics: s.metrics, Logger: s.log,
		})
		if err != nil {
			return err
		}
		if err := s.dns.Listen(); err != nil {
			return err
		}
	}
	s.admin = admin.New(admin.Config{
		Listen: s.cfg.Admin.Listen, Ready: s.ready, Status: s.status, Get: s.list, Report: s.report,
		ExplainDNS: s.explainDNS, ExplainHTTP: s.explainHTTP, ExplainRequest: s.explainRequest, Metrics: s.writeMetrics,
		Reload: s.reloadAndLog,
	})
	return s.admin.Listen()
}

func (s *server) buildProxy() (err error) {
	if err := s.openCertificates(); err != nil {
		return err
	}
	if s.proxy, err = proxy.New(s.proxyConfig(s.cfg)); err != nil {
		return err
	}
	return s.proxy.Listen()
}

// proxyConfig is the data plane as c wants it.
func (s *server) proxyConfig(c *config.Edge) proxy.Config {
	l := c.Limits
	return proxy.Config{
		Listen: c.HTTP.Listen, ListenTLS: c.HTTPS.Listen, TLS: s.tls, HTTP3: c.HTTPS.HTTP3, HandshakeTimeout: c.HTTPS.HandshakeTimeout.Std(),
		Snapshot: s.store.Load, Table: s.table, Sessions: s.sessions, Observe: s.observe, Answered: s.answered, Health: s.healthz,
		Limits:      http1.Limits{HeadBytes: l.MaxHeadBytes, Fields: l.MaxHeaderCount},
		HeadTimeout: l.HeadTimeout.Std(), IdleTimeout: l.IdleTimeout.Std(),
		MinBodyRate: l.MinBodyRate, WriteTimeout: l.WriteTimeout.Std(), MaxRequests: l.MaxRequestsPerConnection, MaxStreams: l.MaxStreams,
		Via: string(c.Name), TrustedProxies: c.TrustedProxies, Managed: c.Headers.Managed, ExplainTo: c.Explain.Clients(),
		RetryPercent: c.Retries.BudgetPercent, MinRetries: c.Retries.MinConcurrent,
		MaxKeptBody: c.Retries.MaxKeptBodyBytes, MaxConnections: fitFiles(l.MaxConnections, s.log), MaxConnectionsPerAddress: l.MaxConnectionsPerAddress,
		Grace: c.Shutdown.Grace.Std(), Deadline: c.Shutdown.Deadline.Std(), Metrics: s.metrics, Logger: s.log,
		AccessLog: s.access.writer(c.AccessLog),
	}
}

// observe hands the outcome of a request on, and has a node that could not be reached checked at once.
func (s *server) observe(node topology.NodeID, o health.Outcome, reason string) {
	if s.tracker.Observe(string(node), o, reason, time.Now()) {
		s.prober.Kick(string(node))
	}
}

// answered hands on that a node lives: a check of it that times out meanwhile is wrong.
func (s *server) answered(node topology.NodeID, began time.Time) {
	s.tracker.Answered(string(node), began)
}

// healthz is the edge's own health, for load balancers in front of it.
func (s *server) healthz() (bool, []byte) {
	ok, reason := s.ready()
	b, err := json.Marshal(struct {
		Status string            `json:"status"`
		Reason string            `json:"reason,omitempty"`
		Edge   topology.EdgeID   `json:"edge"`
		Region topology.RegionID `json:"region"`
	}{map[bool]string{true: "ok", false: "unavailable"}[ok], reason, s.cfg.Name, s.cfg.Region})
	if err != nil {
		return false, nil // invariant: strings always encode
	}
	return ok, append(b, '\n')
}

// publishAcks takes the word on drains to where it is published from.
func (s *server) publishAcks(acks []topology.Ack) {
	s.lastAcks.Store(&acks)
	s.source.touch()
	s.fleet.kick()
}

// explainHTTP is where a request goes and why.
func (s *server) explainHTTP(method string, u *url.URL) (admin.HTTPExplanation, error) {
	if !topology.KnownMethod(method) {
		return admin.HTTPExplanation{}, fmt.Errorf("%q is not a method that an edge forwards: such a request is refused with 501", method)
	}
	if u.Scheme != "http" && u.Scheme != "https" {
		return admin.HTTPExplanation{}, fmt.Errorf("%q is not a scheme that an edge serves; want http or https", u.Scheme)
	}
	path := u.EscapedPath()
	if path == "" {
		path = "/"
	}
	e := s.proxy.Explain(method, u.Host, path)
	x := admin.HTTPExplanation{
		Method: method, Host: u.Host, Path: path, Edge: s.cfg.Name, Route: e.Route, Pool: e.Pool, Node: e.Chosen, Why: e.Why,
		Tiers: e.Tiers, Nodes: []admin.NodeExplanation{},
	}
	if len(e.Tiers) > 0 {
		x.Policy = e.Tiers[0].Policy
	}
	if snap := s.store.Load(); snap != nil {
		x.Revision = snap.Revision
	}
	for _, c := range e.Candidates {
		x.Nodes = append(x.Nodes, admin.NodeExplanation{
			Node: c.Node, Region: c.Region, Tier: c.Tier, Health: c.Standing.String(), InFlight: c.InFlight, Streams: c.Streams,
			Weight: c.Weight, Limit: c.Limit, RIF: c.RIF, Hot: c.Hot, Score: c.Score, SlowStart: c.SlowStart, Eligible: c.Eligible, Chosen: c.Node == e.Chosen, Reason: c.Reason,
		})
	}
	return x, nil
}

// registerMetrics adds the gauges that only the wiring can see.
func (s *server) registerMetrics() {
	s.metrics.NewGauge("meridian_ready", func() float64 { return truth(first(s.ready())) })
	s.metrics.NewGauge("meridian_mcp_sessions", func() float64 { return float64(s.sessions.Len()) })
	s.metrics.NewGauge("meridian_nodes", func() float64 { return float64(len(s.store.Load().List(topology.KindNode))) })
	s.metrics.NewGauge("meridian_checked_not_up", func() float64 {
		down := 0
		for _, v := range s.tracker.All() {
			if !v.CanPick() {
				down++
			}
		}
		return float64(down)
	})
	s.metrics.NewGauge(fmt.Sprintf(`meridian_build_info{version=%q}`, version), func() float64 { return 1 })
}

func first[A, B any](a A, _ B) A { return a }

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// writeMetrics writes everything in Prometheus' text format.
func (s *server) writeMetrics(w io.Writer) {
	s.metrics.WritePrometheus(w)
	s.source.writeMetrics(w)
	writeTiers(w, s.table.Stats())
	if canOpenFiles() {
		metrics.WriteProcessMetrics(w)
	}
}

// canOpenFiles reports whether the library could read what it writes of the process: without descriptors it would print lines on
// stderr for each scrape, and write next to nothing.
func canOpenFiles() bool {
	f, err := os.Open("/proc/self/stat")
	if err != nil {
		return !errors.Is(err, syscall.EMFILE) && !errors.Is(err, syscall.ENFILE)
	}
	f.Close()
	return true
}
