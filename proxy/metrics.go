// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"meridian/balancer"
	"meridian/balancer/queue"
	"meridian/topology"
)

// proxyMetrics counts what the data plane does. Those of a pool are found by one map look-up; names are formatted once.
type proxyMetrics struct {
	set         *metrics.Set
	inFlight    atomic.Int64
	refused     *metrics.Counter
	shutdownCut *metrics.Counter
	nodeCut     *metrics.Counter
	nodeLeft    *metrics.Counter

	mu    sync.Mutex                                       // serializes changes of pools
	pools atomic.Pointer[map[topology.PoolID]*poolMetrics] // replaced whole
}

// poolMetrics are those of one pool. The pool "" stands for requests that no route takes.
type poolMetrics struct {
	classes        [6]*metrics.Counter // by the status's first digit; 0: no status was sent
	duration       *metrics.Histogram
	firstByte      *metrics.Histogram
	tunnels        *metrics.Counter
	retries        *metrics.Counter
	staleRetries   *metrics.Counter
	retriesRefused *metrics.Counter
	budget         balancer.Budget
	aborted        *metrics.Counter
	edgeErrors     *metrics.Counter
	queueRefused   *metrics.Counter
	queue          atomic.Pointer[queue.Queue] // nil: none has waited yet
}

func newMetrics(set *metrics.Set, s *Server) *proxyMetrics {
	m := &proxyMetrics{set: set}
	m.pools.Store(&map[topology.PoolID]*poolMetrics{})
	m.refused = set.GetOrCreateCounter("meridian_http_requests_refused_total")
	m.shutdownCut = set.GetOrCreateCounter("meridian_http_shutdown_cut_connections_total")
	m.nodeLeft = set.GetOrCreateCounter("meridian_http_node_left_requests_total")
	m.nodeCut = set.GetOrCreateCounter("meridian_http_drain_cut_requests_total")
	gauge := func(name string, f func() float64) { set.GetOrCreateGauge(name, f) }
	gauge("meridian_http_requests_in_flight", func() float64 { return float64(m.inFlight.Load()) })
	gauge("meridian_http_tunnels_open", func() float64 { return float64(s.tunnels.Load()) })
	gauge("meridian_http_connections", func() float64 { return float64(s.engine.Stats().Open) })
	gauge("meridian_http_connections_accepted_total", func() float64 { return float64(s.engine.Stats().Accepted) })
	gauge("meridian_http_connections_shed_total", func() float64 { return float64(s.engine.Stats().Shed) })
	gauge("meridian_http_accept_errors_total", func() float64 { return float64(s.engine.Stats().AcceptErrors) })
	gauge("meridian_tls_handshakes_waiting", func() float64 { return float64(s.shakers.Waiting()) })
	gauge("meridian_http2_connections", func() float64 { return float64(s.http2.Stats().Open) })
	gauge("meridian_http2_connections_total", func() float64 { return float64(s.http2.Stats().Served) })
	gauge("meridian_http2_streams_total", func() float64 { return float64(s.http2.Stats().Streams) })
	gauge("meridian_http2_misbehaved_total", func() float64 { return float64(s.http2.Stats().Misbehaved) })
	if s.cfg.HTTP3 {
		gauge("meridian_http3_connections", func() float64 { return float64(s.front.http3Stats().Open) })
		gauge("meridian_http3_connections_shed_total", func() float64 { return float64(s.front.http3Stats().Shed) })
		gauge("meridian_http3_requests_total", func() float64 { return float64(s.front.http3Stats().Requests) })
	}
	gauge("meridian_upstream_connects_total", func() float64 { return float64(s.upstream.Stats().Dialed) })
	gauge("meridian_upstream_connect_failures_total", func() float64 { return float64(s.upstream.Stats().Failed) })
	gauge("meridian_upstream_reuses_total", func() float64 { return float64(s.upstream.Stats().Reused) })
	gauge("meridian_upstream_stale_total", func() float64 { return float64(s.upstream.Stats().Stale) })
	gauge("meridian_upstream_h2_connections", func() float64 { return float64(s.h2.Stats().Open) })
	gauge("meridian_upstream_h2_connects_total", func() float64 { return float64(s.h2.Stats().Dialed) })
	gauge("meridian_upstream_h2_connect_failures_total", func() float64 { return float64(s.h2.Stats().Failed) })
	gauge("meridian_upstream_h2_reuses_total", func() float64 { return float64(s.h2.Stats().Reused) })
	gauge("meridian_upstream_idle_connections", func() float64 { return float64(s.upstream.Stats().Idle) })
	gauge("meridian_access_log_dropped_total", func() float64 { return float64(s.log.dropped.Load()) })
	gauge("meridian_access_log_errors_total", func() float64 { return float64(s.log.failed.Load()) })
	return m
}

// of returns the metrics of a pool, which are made at its first request.
func (m *proxyMetrics) of(id topology.PoolID) *poolMetrics {
	if p := (*m.pools.Load())[id]; p != nil {
		return p
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	pools := maps.Clone(*m.pools.Load())
	p := pools[id]
	if p == nil {
		p = m.newPool(id)
		pools[id] = p
		m.pools.Store(&pools)
	}
	return p
}

func (m *proxyMetrics) newPool(id topology.PoolID) *poolMetrics {
	p := &poolMetrics{
		duration:       m.set.GetOrCreateHistogram(fmt.Sprintf("meridian_http_request_duration_seconds{pool=%q}", id)),
		firstByte:      m.set.GetOrCreateHistogram(fmt.Sprintf("meridian_http_first_byte_seconds{pool=%q}", id)),
		tunnels:        m.set.GetOrCreateCounter(fmt.Sprintf("meridian_http_tunnels_total{pool=%q}", id)),
		retries:        m.set.GetOrCreateCounter(fmt.Sprintf("meridian_http_retries_total{pool=%q}", id)),
		staleRetries:   m.set.GetOrCreateCounter(fmt.Sprintf("meridian_http_stale_retries_total{pool=%q}", id)),
		retriesRefused: m.set.GetOrCreateCounter(fmt.Sprintf("meridian_http_retries_refused_total{pool=%q}", id)),
		queueRefused:   m.set.GetOrCreateCounter(fmt.Sprintf("meridian_http_queue_refused_total{pool=%q}", id)),
		aborted:        m.set.GetOrCreateCounter(fmt.Sprintf("meridian_http_aborted_total{pool=%q}", id)),
		edgeErrors:     m.set.GetOrCreateCounter(fmt.Sprintf("meridian_http_own_answers_total{pool=%q}", id)),
	}
	m.set.GetOrCreateGauge(fmt.Sprintf("meridian_http_retrying{pool=%q}", id), func() float64 { return float64(p.budget.Retrying()) })
	m.set.GetOrCreateGauge(fmt.Sprintf("meridian_http_queued{pool=%q}", id), func() float64 { return p.queued() })
	for i := range p.classes {
		class := "none"
		if i > 0 {
			class = fmt.Sprintf("%dxx", i)
		}
		p.classes[i] = m.set.GetOrCreateCounter(fmt.Sprintf("meridian_http_requests_total{pool=%q,code_class=%q}", id, class))
	}
	return p
}

// done counts a request that has ended.
func (p *poolMetrics) done(d *record, took time.Duration) {
	p.classes[min(max(d.status/100, 0), 5)].Inc()
	p.duration.Update(took.Seconds())
	if d.firstByte > 0 {
		p.firstByte.Update(d.firstByte.Seconds())
	}
	if d.aborted {
		p.aborted.Inc()
	}
	if d.own {
		p.edgeErrors.Inc()
	}
}
