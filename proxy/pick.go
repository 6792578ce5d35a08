// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"meridian/balancer"
	"meridian/balancer/hash"
	"meridian/health"
	"meridian/proxy/exchange"
	"meridian/topology"
)

// pick takes a place on a node of the request's pool on which it has not been tried yet.
func (r *relay) pick(now time.Time) (balancer.Lease, error) {
	key, hasKey := keyOf(r.pool, r.x)
	if r.asked != nil {
		r.asked.look(r.s.cfg.Table, r.pool.Name)
	}
	return r.s.cfg.Table.Pick(balancer.Request{
		Pool: r.pool.Name, Route: r.s.cfg.Table.Route(r.route.Name), Tried: r.tried[:r.nTried], Now: now, Rand: rand.Uint64(), Key: key, HasKey: hasKey,
	})
}

// keyOf returns what the pool's policy knows the request by, if the policy has keys and the request one.
func keyOf(p *topology.Pool, x *exchange.Exchange) (uint64, bool) {
	if !p.Policy.IsHashed() {
		return 0, false
	}
	var key string
	switch h := p.Hash.WithDefaults(); h.By {
	case topology.HashByHeader:
		key = x.Header.Get(h.Name)
	case topology.HashByCookie:
		key = cookie(x.Header, h.Name)
	case topology.HashByQuery:
		key = parameter(x.Target[len(x.Path):], h.Name)
	default:
		key = x.ClientIP
	}
	return hash.String(key), key != ""
}

// cookie returns the value of the first cookie of that name (RFC 6265, section 4.2.1), or "".
func cookie(h exchange.Header, name string) string {
	for i := range h {
		if !strings.EqualFold(h[i].Name, "Cookie") {
			continue
		}
		for pair := range strings.SplitSeq(h[i].Value, ";") {
			if k, v, _ := strings.Cut(strings.TrimLeft(pair, " "), "="); k == name {
				return v
			}
		}
	}
	return ""
}

// parameter returns the value of the first parameter of that name in a query with its "?", as it stands, or "". A node may decode
// more than one spelling to one value; they are different keys, which costs it a second place and no more.
func parameter(query, name string) string {
	for pair := range strings.SplitSeq(strings.TrimPrefix(query, "?"), "&") {
		if k, v, _ := strings.Cut(pair, "="); k == name {
			return v
		}
	}
	return ""
}

// answered tells the balancer of the head of the node's answer.
func (r *relay) answered(status int, h exchange.Header) {
	o := balancer.Outcome{Kind: balancer.OK}
	switch status {
	case 429, 502, 503, 504:
		o.Kind = balancer.Failed
		if s, err := strconv.Atoi(h.Get("Retry-After")); err == nil && s > 0 { // a date is not honoured: clocks differ
			o.RetryAfter = time.Duration(min(s, 3600)) * time.Second
		}
	}
	r.lease.Answered(time.Now(), o)
	if status < 502 || status > 504 {
		r.s.cfg.Answered(r.node.Name, r.lease.Began())
	}
	if load := loadIn(h); load != (balancer.Reported{}) {
		r.lease.Report(load)
	}
}

// unanswered tells the balancer, and health, of a try that the node has failed.
func (r *relay) unanswered(o health.Outcome, reason string) {
	r.lease.Answered(time.Now(), balancer.Outcome{Kind: balancer.Failed})
	r.s.cfg.Observe(r.node.Name, o, reason)
}
