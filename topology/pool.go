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
	// Policy is how a node is chosen: latency, least_request, random, weighted_round_robin, maglev or ring. Empty: latency, but
	// least_request where the protocol is mcp: a session stays where it was opened, and the fastest node is not to get all of them.
	Policy Policy `json:"policy,omitempty"`
	// Hash says what maglev and ring know a request by.
	Hash Hash `json:"hash,omitzero"`
	// SlowStart is over what time a node that is new, or has come back, gets from a tenth of its share to the whole, sooner where
	// it answers as fast as the others do. At first it gets one request, and more once that is answered. Not for an edge's first topology, and not while most of the nodes are
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
	// Passive says when the outcome of requests ejects a node, besides what always does. Its zero value is five gateway errors in a row.
	Passive Passive `json:"passive,omitzero"`
}

// Passive says when the outcome of requests ejects a node. It is also ejected if half of at least 20 requests of ten seconds failed, if its
// success rate is far below that of the others, or if it answers three times slower than the others of its tier for three seconds. At
// most a tenth of a pool's nodes in a region, or one, are ejected at once, and never the last that can be picked. A node that refuses a
// connection is out until a check has decided.
type Passive struct {
	// ConsecutiveErrors is how many gateway errors in a row (no connection, no answer, a broken answer, 502, 503, 504)
	// eject a node. Zero: 5. 1 to 1000.
	ConsecutiveErrors int `json:"consecutive_errors,omitempty"`
	// Ban is how long an ejected node gets no request; it doubles with each ejection in a row, up to 300s. Zero: 10s.
	// 100ms to 1h. It is up to a fifth longer or shorter at random. Active checks don't end it.
	Ban Duration `json:"ban,omitempty"`
	// MaxFails and FailTimeout are nginx's spelling, in place of the other two and of the rates: so many failed requests and connections
	// within FailTimeout, successes between them or not, ban a node for FailTimeout, always as long. The bounds on how many are out at
	// once stay. Zero: if FailTimeout is set 1, else not so. 1 to 1000.
	MaxFails int `json:"max_fails,omitempty"`
	// FailTimeout is that window and the length of the ban. Zero: if MaxFails is set 10s. 100ms to 1h.
	FailTimeout Duration `json:"fail_timeout,omitempty"`
}

// IsNginx reports whether MaxFails and FailTimeout are in force.
func (p Passive) IsNginx() bool { return p.MaxFails != 0 || p.FailTimeout != 0 }

// WithDefaults returns p with every zero field of the spelling that is used replaced by its default.
func (p Passive) WithDefaults() Passive {
	if p.IsNginx() {
		p.MaxFails = max(1, p.MaxFails)
		p.FailTimeout = Duration(p.FailTimeout.Or(10 * time.Second))
		return p
	}
	if p.ConsecutiveErrors == 0 {
		p.ConsecutiveErrors = 5
	}
	p.Ban = Duration(p.Ban.Or(10 * time.Second))
	return p
}

func (p Passive) check(c *checker) {
	c.integer("passive.consecutive_errors", p.ConsecutiveErrors, 1, 1000)
	c.duration("passive.ban", p.Ban, 100*time.Millisecond, time.Hour)
	c.integer("passive.max_fails", p.MaxFails, 1, 1000)
	c.duration("passive.fail_timeout", p.FailTimeout, 100*time.Millisecond, time.Hour)
	if p.IsNginx() && (p.ConsecutiveErrors != 0 || p.Ban != 0) {
		c.mistake("passive", "max_fails and fail_timeout stand in place of consecutive_errors and ban; remove either pair")
	}
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
	p.Passive.check(c)
}

func (p *Pool) refs(set Set, c *checker) {
	if p.FallbackPool != "" {
		c.ref(set, "fallback_pool", KindPool, string(p.FallbackPool))
	}
}

// EffectivePolicy returns the policy with its default.
func (p *Pool) EffectivePolicy() Policy {
	switch {
	case p.Policy != "":
		return p.Policy
	case p.Protocol == ProtocolMCP:
		return PolicyLeastRequest
	}
	return PolicyLatency
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
