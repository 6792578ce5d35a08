// SPDX-License-Identifier: Apache-2.0

package topology

import (
	"slices"
	"time"
)

// Policy is how a pool's nodes are chosen among.
type Policy string

// The policies.
const (
	PolicyLatency            Policy = "latency"              // by what is in flight and by how fast the nodes answer
	PolicyLeastRequest       Policy = "least_request"        // of two random nodes the one with the fewer requests in flight
	PolicyRandom             Policy = "random"               // at random, by weight
	PolicyWeightedRoundRobin Policy = "weighted_round_robin" // in turn, by weight, spread evenly
	PolicyMaglev             Policy = "maglev"               // by a key of the request, over a table of slots
	PolicyRing               Policy = "ring"                 // by a key of the request, over a ring of points
)

var policies = []Policy{PolicyLatency, PolicyLeastRequest, PolicyRandom, PolicyWeightedRoundRobin, PolicyMaglev, PolicyRing}

// IsHashed reports whether the policy goes by a key of the request.
func (p Policy) IsHashed() bool { return p == PolicyMaglev || p == PolicyRing }

// HashBy is what the key of a request is made of.
type HashBy string

// What keys are made of.
const (
	HashByHeader  HashBy = "header"
	HashByCookie  HashBy = "cookie"
	HashByAddress HashBy = "address"
	HashByQuery   HashBy = "query"
)

// Hash says what the policies maglev and ring know a request by, and how unequal they may make the nodes' load.
type Hash struct {
	// By is where the key stands: header, cookie, query (a parameter of the target), or address, the client's. Empty: address. A
	// request without the key goes to any node, as with least_request.
	By HashBy `json:"by,omitempty"`
	// Name is the header's, cookie's or query parameter's name. Empty only for address.
	Name string `json:"name,omitempty"`
	// Load is by how much a node may be above its fair share of what is out at the nodes; a key whose node is there goes to
	// another one. Zero: 1.25. 1.05 to 10. Lower is more even and moves more keys when it is busy.
	Load float64 `json:"load,omitempty"`
}

// WithDefaults returns h with every zero field replaced by its default.
func (h Hash) WithDefaults() Hash {
	if h.By == "" {
		h.By = HashByAddress
	}
	if h.Load == 0 {
		h.Load = 1.25
	}
	return h
}

func (h Hash) check(c *checker, p Policy) {
	if h == (Hash{}) {
		return
	}
	if !p.IsHashed() {
		c.mistake("hash", "the policy has no keys; remove it or set policy: maglev or ring")
		return
	}
	switch h.By {
	case "", HashByAddress:
		if h.Name != "" {
			c.mistake("hash.name", "an address has no name; remove it or set by: header, cookie or query")
		}
	case HashByHeader, HashByCookie, HashByQuery:
		if !isToken(h.Name) {
			c.mistake("hash.name", "%q is not a name; want that of the %s that holds the key", clip(h.Name), h.By)
		}
	default:
		c.mistake("hash.by", "%q is not a place of a key; want header, cookie, address or query", clip(string(h.By)))
	}
	c.ratio("hash.load", h.Load, 1.05, 10)
}

// isToken reports whether s is a token of RFC 9110, section 5.6.2, of at most 128 bytes.
func isToken(s string) bool {
	if s == "" || len(s) > 128 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if !isAlnum(c) && !(c >= 'A' && c <= 'Z') && !slices.Contains([]byte("!#$%&'*+-.^_`|~"), c) {
			return false
		}
	}
	return true
}

// Limit says how many requests may be in flight at a node of a pool, from each edge, besides the node's capacity.
type Limit struct {
	// Adaptive has each edge find every node's limit by itself, from how much slower it answers than it can. False: no limit but the
	// capacity's.
	Adaptive bool `json:"adaptive,omitempty"`
	// Min and Max hold the limit. Zero: 3 and 1000. 1 to 100000, Min at most Max.
	Min int `json:"min,omitempty"`
	Max int `json:"max,omitempty"`
}

// WithDefaults returns l with every zero field replaced by its default.
func (l Limit) WithDefaults() Limit {
	if l.Max == 0 {
		l.Max = max(1000, l.Min)
	}
	if l.Min == 0 {
		l.Min = min(3, l.Max)
	}
	return l
}

func (l Limit) check(c *checker) {
	if l != (Limit{}) && !l.Adaptive {
		c.mistake("limit", "its bounds do nothing without adaptive: true; a fixed limit is a node's capacity.connections")
	}
	c.integer("limit.min", l.Min, 1, 100_000)
	c.integer("limit.max", l.Max, 1, 100_000)
	if d := l.WithDefaults(); d.Min > d.Max {
		c.mistake("limit.min", "%d is above max, which is %d", d.Min, d.Max)
	}
}

// Queue is where requests wait while all nodes of a pool are full.
type Queue struct {
	// Size is how many may wait at each edge; beyond it 503. Zero: none waits. 1 to 100000.
	Size int `json:"size,omitempty"`
	// Timeout is how long one may wait, at most the route's timeouts.first_byte; then 503. Who could not have a place in time, by the pace
	// at which places come free, gets it at once. Zero: 1s. 1ms to 1h.
	Timeout Duration `json:"timeout,omitempty"`
}

// WithDefaults returns q with every zero field replaced by its default, which is no queue for Size.
func (q Queue) WithDefaults() Queue {
	q.Timeout = Duration(q.Timeout.Or(time.Second))
	return q
}

func (q Queue) check(c *checker) {
	c.integer("queue.size", q.Size, 1, 100_000)
	c.duration("queue.timeout", q.Timeout, time.Millisecond, time.Hour)
	if q.Size == 0 && q.Timeout != 0 {
		c.mistake("queue.size", "nobody waits; set it or remove queue")
	}
}
