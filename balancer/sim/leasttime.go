// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"time"

	"meridian/balancer"
)

// LeastTime is nginx's "least_time last_byte inflight" since 1.31.0, read from ngx_http_upstream_least_time_module.c: the node
// with the least estimated time, of all. Its times are whole milliseconds and its fail_timeout is 10 s.
var LeastTime = Policy{Name: "nginx least_time", New: func(s Setup) Balancer {
	n := len(s.Scenario.Nodes)
	return &leastTime{members: newMembers(n), nodes: make([]timed, n), failuresCount: !s.Retries}
}}

// From the source.
const (
	leastTimeFailTimeout = 10   // s
	leastTimeMost        = 5000 // ms, above which nodes are equally bad
	leastTimeCluster     = 20   // ms, within which nodes are equally good
)

// timed is a peer: ngx_http_upstream_rr_peer_t as far as the module uses it.
type timed struct {
	responseTime  int64 // ms
	inFlightTime  int64 // ms
	inFlight      int64 // inflight_reqs, which equals conns here
	inFlightLast  int64 // ms, of all requests in flight together at changed
	changed       int64 // ms
	checked       int64 // s
	currentWeight int
}

// average is ngx_http_upstream_response_time_avg.
func average(avg *int64, v int64) {
	if *avg == 0 {
		*avg = v
		return
	}
	*avg = int64(0.5 + float64(v)*0.05 + float64(*avg)*0.95)
}

type leastTime struct {
	members
	nodes         []timed
	scratch       []int32
	failuresCount bool // a failed try is an answer like another, as nothing tries again
}

func (b *leastTime) Stand(node int, present bool, s balancer.Standing, _ time.Duration) {
	b.stand(node, present, s)
}

func (b *leastTime) Pick(t *Try, now time.Duration) int {
	ms, s := now.Milliseconds(), int64(now/time.Second)
	b.scratch = append(b.scratch[:0], b.ready...)
	best, least, equal := -1, int64(0), 0
	for _, i := range b.scratch {
		if contains(t.Tried, i) {
			continue
		}
		p := &b.nodes[i]
		if p.inFlight > 0 {
			average(&p.inFlightTime, p.inFlightLast/p.inFlight+ms-p.changed)
		}
		switch eta := p.eta(s); {
		case best < 0 || eta < least:
			best, least, equal = int(i), eta, 1
		case eta == least:
			equal++
		}
	}
	if best < 0 {
		return -1
	}
	if equal > 1 {
		best = b.turn(t, least, equal, s)
	}
	b.nodes[best].begin(ms, s)
	return best
}

// turn takes the equally good nodes in turn: smooth weighted round robin with weights of 1.
func (b *leastTime) turn(t *Try, least int64, equal int, s int64) int {
	best := -1
	for _, i := range b.scratch {
		p := &b.nodes[i]
		if contains(t.Tried, i) || p.eta(s) != least {
			continue
		}
		p.currentWeight++
		if best < 0 || p.currentWeight > b.nodes[best].currentWeight {
			best = int(i)
		}
	}
	b.nodes[best].currentWeight -= equal
	return best
}

// eta is ngx_http_upstream_least_time_eta.
func (p *timed) eta(s int64) int64 {
	rt := p.responseTime
	if idle := s - p.checked; idle > leastTimeFailTimeout {
		rt >>= min(63, idle/(leastTimeFailTimeout+1))
	}
	if p.inFlight > 0 {
		rt = max(rt, p.inFlightTime)
	}
	if rt > leastTimeMost {
		rt = leastTimeMost
	} else {
		rt += leastTimeCluster - rt%leastTimeCluster
	}
	return rt * (1 + p.inFlight)
}

func (p *timed) begin(ms, s int64) {
	p.inFlightLast += (ms - p.changed) * p.inFlight
	p.changed = ms
	p.inFlight++
	if s-p.checked > leastTimeFailTimeout {
		p.checked = s
	}
}

func (b *leastTime) Ended(t *Try, o Outcome, latency, now time.Duration) {
	p, ms, took := &b.nodes[t.Node], now.Milliseconds(), latency.Milliseconds()
	if p.inFlight == 1 {
		p.inFlightLast = 0
	} else {
		p.inFlightLast += (ms-p.changed)*p.inFlight - took
		p.changed = ms
	}
	p.inFlight--
	if o == OK || o == Failed && b.failuresCount {
		average(&p.responseTime, took)
	}
}
