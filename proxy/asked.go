// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"meridian/balancer"
	"meridian/proxy/exchange"
	"meridian/topology"
)

// askField is how an authorised client asks, with the value 1, that its request be explained, and what it gets back: in short, with the id by which
// Server.ExplainRequest has the rest. Nobody's goes on to a node, and no node's to a client.
const askField = "X-Edge-Explain"

// Bounds of what is kept of requests that were explained. Ours.
const (
	keptExplained      = 256              // records
	keptExplainedBytes = 4 << 20          // about what they take together
	keptExplainedFor   = 10 * time.Minute // after their ends
	maxShownCandidates = 32               // of each try
	maxExplained       = 16               // of one id
)

// RequestExplanation is what has become of one request so far, and why.
type RequestExplanation struct {
	ID       string           `json:"id"`
	Received time.Time        `json:"received"`
	Method   string           `json:"method"`
	Host     string           `json:"host"`
	Path     string           `json:"path"` // the first 256 bytes
	Route    topology.RouteID `json:"route,omitempty"`
	Pool     topology.PoolID  `json:"pool,omitempty"`
	// State is "waiting" for a place, "connecting" to a node, "waiting for head" of the answer, "streaming" that, "tunnel", or "done".
	State string `json:"state"`
	// Status is what the client got, 0 before; Took the time until now or the end.
	Status   int           `json:"status,omitempty"`
	Took     time.Duration `json:"took_ns"`
	BytesOut int64         `json:"bytes_out"`
	Err      string        `json:"err,omitempty"`
	Attempts []Attempt     `json:"attempts"`
}

// Attempt is one try on a node.
type Attempt struct {
	Why balancer.Why `json:"pick"`
	// Short is the reason as the access log has it: see balancer.Why.Append.
	Short string `json:"why"`
	// End is why the try failed, empty for one that did not or is under way.
	End string `json:"end,omitempty"`
	// Tiers and Candidates are as the pick found them, only of a request that was asked about; LeftOut is how many candidates are not shown.
	Tiers      []balancer.TierStats `json:"tiers,omitempty"`
	Candidates []balancer.Candidate `json:"candidates,omitempty"`
	LeftOut    int                  `json:"left_out,omitempty"`
}

// asked is kept of a request whose client has asked for an explanation.
type asked struct {
	view     Attempt // of the pick that is being made
	attempts []Attempt
}

// asksRightly reports whether the request asks for an explanation and may: see Config.ExplainTo.
func (r *relay) asksRightly() bool {
	if single(r.x.Header, askField) != "1" {
		return false
	}
	a := r.x.Client.Addr()
	if r.origin.trusted {
		if len(r.origin.chain) == 0 {
			return false // it is everybody's who comes through that proxy
		}
		a, _ = netip.ParseAddr(r.origin.ip)
	}
	if a.IsLoopback() { // who is here, but not who comes through another program that is
		for i := range r.x.Header {
			switch f := r.x.Header[i].Name; {
			case strings.EqualFold(f, "X-Forwarded-For"), strings.EqualFold(f, "Forwarded"), strings.EqualFold(f, "Via"), strings.EqualFold(f, "X-Real-Ip"):
				return false
			}
		}
	}
	for _, p := range r.conf.ExplainTo {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// look notes how things stand before a pick.
func (a *asked) look(t *balancer.Table, pool topology.PoolID) {
	all := t.Explain(pool)
	a.view = Attempt{Tiers: t.Tiers(pool), Candidates: all}
	if len(all) > maxShownCandidates {
		shown := make([]balancer.Candidate, 0, maxShownCandidates)
		for _, eligible := range []bool{true, false} { // those that could be picked first
			for i := range all {
				if all[i].Eligible == eligible && len(shown) < maxShownCandidates {
					shown = append(shown, all[i])
				}
			}
		}
		a.view.Candidates, a.view.LeftOut = shown, len(all)-len(shown)
	}
}

// notePick notes by what the node was picked that the relay has just taken.
func (r *relay) notePick() {
	if r.asked == nil && !r.s.log.on() {
		return
	}
	r.record.why = r.lease.Why()
	if a := r.asked; a != nil {
		a.view.Why, a.view.Short = r.record.why, r.record.why.String()
		a.attempts = append(a.attempts, a.view)
		a.view = Attempt{}
	}
}

// noteFailed notes that the try on a node came to nothing, and that there may be another. The relay must have no node any more.
func (r *relay) noteFailed(w balancer.Why, reason string) {
	if a := r.asked; a != nil && len(a.attempts) > 0 {
		a.attempts[len(a.attempts)-1].End = reason
	}
	r.record.attempts = append(r.record.attempts, Attempt{Why: w, Short: w.String(), End: reason})
}

// appendExplained appends the short explanation to what the client gets, if it has asked.
func (r *relay) appendExplained(h exchange.Header) exchange.Header {
	if r.asked == nil {
		return h
	}
	b := append(make([]byte, 0, 256), "id="...)
	b = append(b, r.id...)
	if r.route != nil {
		b = append(append(b, "; route="...), r.route.Name...)
		b = append(append(b, "; pool="...), r.route.Pool...)
	}
	if w := &r.record.why; w.Node != "" {
		b = append(append(b, "; node="...), w.Node...)
		b = append(w.Append(append(b, `; why="`...)), '"')
	}
	b = strconv.AppendInt(append(b, "; tries="...), int64(r.record.tries), 10)
	return append(h, exchange.Field{Name: askField, Value: string(b)})
}

// explainedLog keeps what was asked for. Its zero value is empty. Safe for concurrent use; nothing of it is on the way of a request
// that was not asked about.
type explainedLog struct {
	mu    sync.Mutex
	kept  []kept // the oldest first
	bytes int
}

type kept struct {
	x     RequestExplanation
	until time.Time
	bytes int
}

// add keeps a record, and lets go of old ones.
func (l *explainedLog) add(x RequestExplanation, now time.Time) {
	k := kept{x: x, until: now.Add(keptExplainedFor), bytes: 512 + len(x.ID) + len(x.Host) + len(x.Path) + len(x.Err)}
	for _, a := range x.Attempts { // strings of the topology are not counted: they are there anyway
		k.bytes += 512 + 300*len(a.Candidates) + 250*len(a.Tiers) + len(a.End)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.kept = append(l.kept, k)
	l.bytes += k.bytes
	drop := 0
	for drop < len(l.kept)-1 && (len(l.kept)-drop > keptExplained || l.bytes > keptExplainedBytes || now.After(l.kept[drop].until)) {
		l.bytes -= l.kept[drop].bytes
		drop++
	}
	n := copy(l.kept, l.kept[drop:])
	clear(l.kept[n:])
	l.kept = l.kept[:n]
}

// find returns the newest records of an id.
func (l *explainedLog) find(id string, now time.Time) (out []RequestExplanation) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := len(l.kept) - 1; i >= 0 && len(out) < maxExplained; i-- {
		if k := &l.kept[i]; k.x.ID == id && now.Before(k.until) {
			out = append(out, k.x)
		}
	}
	return out
}

// endTry ends a try that came to nothing: the place on the node is given back.
func (r *relay) endTry(reason string) {
	why := r.lease.Why()
	r.endLease()
	r.noteFailed(why, reason)
}
