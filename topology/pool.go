// SPDX-License-Identifier: Apache-2.0

package topology

import (
	"slices"
	"strings"
	"time"
)

// Protocol is what the nodes of a pool speak.
type Protocol string

// The protocols.
const (
	ProtocolHTTP Protocol = "http" // HTTP/1.1
	ProtocolMCP  Protocol = "mcp"  // the Model Context Protocol over HTTP/1.1: sessions stick to their worker
	ProtocolH2C  Protocol = "h2c"  // HTTP/2 in clear text with prior knowledge
	ProtocolGRPC Protocol = "grpc" // gRPC, over HTTP/2 as h2c
)

// IsHTTP2 reports whether nodes of the protocol speak HTTP/2.
func (p Protocol) IsHTTP2() bool { return p == ProtocolH2C || p == ProtocolGRPC }

// Pool is a set of nodes that serve the same thing.
type Pool struct {
	Version Version `json:"version"`
	Name    PoolID  `json:"name"`
	// Protocol is what the nodes speak: http (HTTP/1.1), mcp, h2c (HTTP/2 in clear text) or grpc. Empty: http.
	Protocol Protocol `json:"protocol,omitempty"`
	// Policy is how a node is chosen: latency, least_request, random, weighted_round_robin, maglev or ring. Empty: latency.
	Policy Policy `json:"policy,omitempty"`
	// Hash says what maglev and ring know a request by.
	Hash Hash `json:"hash,omitzero"`
	// SlowStart is over what time a node that is new, or has come back, gets from a tenth of its share to the whole. At first it
	// gets one request, and more once that is answered. Not for an edge's first topology, and not while most of the nodes are
	// new; maglev and ring have none. Zero: 30s. 1ms, which is none, to 1h.
	SlowStart Duration `json:"slow_start,omitempty"`
	// Utilization is from which part of its capacity on a node takes only what has nowhere else to go. Zero: 0.9. 0.1 to 1.
	Utilization float64 `json:"utilization,omitempty"`
	// Limit bounds the requests in flight at each node by how fast it answers.
	Limit Limit `json:"limit,omitzero"`
	// Queue is where requests wait while all nodes are full.
	Queue Queue `json:"queue,omitzero"`
	// FallbackPool takes what no node of this pool can; its own fallback is not looked at. Empty: none. Then, while less than half of a
	// region's nodes are up and the others can't make up for it, those that fail their checks are tried, too.
	FallbackPool PoolID `json:"fallback_pool,omitempty"`
	// UpstreamIdle is how long an edge keeps a connection to a node unused. A node that says less by Keep-Alive: timeout=N
	// is believed. Zero: 4s, below the 5s after which common servers close theirs. 1ms to 1h. Longer saves connects.
	UpstreamIdle Duration `json:"upstream_idle,omitempty"`
	// HealthCheck says how edges check the nodes. Its zero value is a TCP connect once a second.
	HealthCheck HealthCheck `json:"health_check,omitzero"`
	// Passive says when the outcome of requests ejects a node. Its zero value is five gateway errors in a row.
	Passive Passive `json:"passive,omitzero"`
}

// CheckType is the way in which a node is checked.
type CheckType string

// The check types.
const (
	CheckTCP  CheckType = "tcp"  // up if it accepts a connection
	CheckHTTP CheckType = "http" // up if GET Path gives a status in 200..399
)

// HealthCheck says how the nodes of a pool are checked.
type HealthCheck struct {
	// Type is tcp or http. Empty: http where Path is set, else tcp. An http check speaks HTTP/1.1, whatever the pool does.
	Type CheckType `json:"type,omitempty"`
	// Path is what an http check asks for. Empty: "/healthz".
	Path string `json:"path,omitempty"`
	// Interval is the time between two checks of one node, with ±10 % jitter. Zero: 1s. 50ms to 1h. Shorter finds
	// faults sooner and costs one connection per node, edge and interval.
	Interval Duration `json:"interval,omitempty"`
	// FastInterval is used instead while a node is between two verdicts. Zero: Interval/4, at least 50ms. 20ms to Interval.
	FastInterval Duration `json:"fast_interval,omitempty"`
	// Timeout ends one check as failed. Zero: the smaller of Interval and 1s. 10ms to 1m.
	Timeout Duration `json:"timeout,omitempty"`
	// Rise is how many checks in a row must pass for a node that was down to be up. Zero: 2. 1 to 100.
	Rise int `json:"rise,omitempty"`
	// Fall is how many checks in a row must fail for a node that was up to be down. Zero: 2. 1 to 100.
	Fall int `json:"fall,omitempty"`
}

// WithDefaults returns h with every zero field replaced by its default.
func (h HealthCheck) WithDefaults() HealthCheck {
	if h.Type == "" {
		h.Type = CheckTCP
		if h.Path != "" {
			h.Type = CheckHTTP
		}
	}
	if h.Type == CheckHTTP && h.Path == "" {
		h.Path = "/healthz"
	}
	h.Interval = Duration(h.Interval.Or(time.Second))
	h.FastInterval = Duration(h.FastInterval.Or(min(h.Interval.Std(), max(h.Interval.Std()/4, 50*time.Millisecond))))
	h.Timeout = Duration(h.Timeout.Or(min(h.Interval.Std(), time.Second)))
	if h.Rise == 0 {
		h.Rise = 2
	}
	if h.Fall == 0 {
		h.Fall = 2
	}
	return h
}

func (h HealthCheck) check(c *checker) {
	if h.Type != "" && h.Type != CheckTCP && h.Type != CheckHTTP {
		c.mistake("health_check.type", "%q is not a check; want tcp or http", clip(string(h.Type)))
	}
	if h.Path != "" {
		if h.Type == CheckTCP {
			c.mistake("health_check.path", "a tcp check has no path; remove it or set type: http")
		}
		c.path("health_check.path", h.Path)
	}
	c.duration("health_check.interval", h.Interval, 50*time.Millisecond, time.Hour)
	c.duration("health_check.fast_interval", h.FastInterval, 20*time.Millisecond, h.WithDefaults().Interval.Std())
	c.duration("health_check.timeout", h.Timeout, 10*time.Millisecond, time.Minute)
	c.integer("health_check.rise", h.Rise, 1, 100)
	c.integer("health_check.fall", h.Fall, 1, 100)
}

// Passive says when the outcome of requests ejects a node.
type Passive struct {
	// ConsecutiveErrors is how many gateway errors in a row (no connection, no answer, a broken answer, 502, 503, 504)
	// eject a node. Zero: 5. 1 to 1000.
	ConsecutiveErrors int `json:"consecutive_errors,omitempty"`
	// Ban is how long an ejected node gets no request; it doubles with each ejection in a row, up to 300s. Zero: 10s.
	// 100ms to 1h. Active checks don't end it.
	Ban Duration `json:"ban,omitempty"`
}

// WithDefaults returns p with every zero field replaced by its default.
func (p Passive) WithDefaults() Passive {
	if p.ConsecutiveErrors == 0 {
		p.ConsecutiveErrors = 5
	}
	p.Ban = Duration(p.Ban.Or(10 * time.Second))
	return p
}

// Key implements Resource.
func (p *Pool) Key() Key { return Key{KindPool, string(p.Name)} }

func (p *Pool) check(c *checker) {
	c.version(p.Version)
	c.name("name", string(p.Name))
	switch p.Protocol {
	case "", ProtocolHTTP, ProtocolMCP, ProtocolH2C, ProtocolGRPC:
	default:
		c.mistake("protocol", "%q is not a protocol; want http, mcp, h2c or grpc", clip(string(p.Protocol)))
	}
	if p.Policy != "" && !slices.Contains(policies, p.Policy) {
		c.mistake("policy", "%q is not a policy; want latency, least_request, random, weighted_round_robin, maglev or ring", clip(string(p.Policy)))
	}
	p.Hash.check(c, p.Policy)
	c.duration("slow_start", p.SlowStart, time.Millisecond, time.Hour)
	c.ratio("utilization", p.Utilization, 0.1, 1)
	p.Limit.check(c)
	p.Queue.check(c)
	if p.FallbackPool != "" {
		c.name("fallback_pool", string(p.FallbackPool))
		if p.FallbackPool == p.Name {
			c.mistake("fallback_pool", "a pool is not its own fallback")
		}
	}
	c.duration("upstream_idle", p.UpstreamIdle, time.Millisecond, time.Hour)
	p.HealthCheck.check(c)
	c.integer("passive.consecutive_errors", p.Passive.ConsecutiveErrors, 1, 1000)
	c.duration("passive.ban", p.Passive.Ban, 100*time.Millisecond, time.Hour)
}

func (p *Pool) refs(set Set, c *checker) {
	if p.FallbackPool != "" {
		c.ref(set, "fallback_pool", KindPool, string(p.FallbackPool))
	}
}

// EffectiveSlowStart returns SlowStart with its default.
func (p *Pool) EffectiveSlowStart() time.Duration { return p.SlowStart.Or(30 * time.Second) }

// EffectiveUtilization returns Utilization with its default.
func (p *Pool) EffectiveUtilization() float64 {
	if p.Utilization == 0 {
		return 0.9
	}
	return p.Utilization
}

// path checks an absolute path in the characters of RFC 3986, section 3.3, without dot segments.
func (c *checker) path(field, s string) {
	if len(s) > maxPathBytes {
		c.mistake(field, "%d bytes; at most %d", len(s), maxPathBytes)
	}
	bad := strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune(`?#\"<>^{|}`+"`", r) })
	if !strings.HasPrefix(s, "/") || bad || strings.Contains(s+"/", "/./") || strings.Contains(s+"/", "/../") || strings.Contains(s, "//") {
		c.mistake(field, "%q is not a path; want it to start with / and to have no query, no \"//\" and no dot segments", clip(s))
	}
}
