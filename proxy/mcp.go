// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"errors"
	"io"
	"strconv"
	"strings"
	"time"

	"meridian/balancer"
	"meridian/mcp"
	"meridian/proxy/exchange"
	"meridian/proxy/http1"
	"meridian/topology"
)

// holdStream is how long a session's GET is held while its worker can't be reached but isn't declared dead. Ours: a Go
// client gives its session up at the first 503 to it; health decides within a second.
const (
	holdStream = 2 * time.Second
	holdPause  = 50 * time.Millisecond
)

// headerView is a header as mcp reads it.
type headerView exchange.Header

// Get implements mcp.Header.
func (h *headerView) Get(name string) string {
	fields := exchange.Header(*h)
	if fields.Count(name) < 2 {
		return fields.Get(name)
	}
	var values []string
	for _, f := range fields {
		if strings.EqualFold(f.Name, name) {
			values = append(values, f.Value)
		}
	}
	return strings.Join(values, ", ")
}

// Count implements mcp.Header.
func (h *headerView) Count(name string) int { return exchange.Header(*h).Count(name) }

// runMCP answers a request to an MCP pool.
func (r *relay) runMCP() {
	header := (*headerView)(&r.x.Header)
	r.class = mcp.Classify(r.x.Method, r.x.Path, header)
	if !mcp.HostAllowed(r.route, r.x.Host, r.isName) {
		r.refuse(mcp.BadHost)
		return
	}
	if n := header.Count("Origin"); n > 1 || !mcp.OriginAllowed(r.route, header.Get("Origin"), r.x.Host, r.isName) {
		r.refuse(mcp.BadOrigin)
		return
	}
	bound, known := r.s.cfg.Sessions.Lookup(r.pool.Name, r.class.SessionID, time.Now())
	switch a := r.class.Route(bound, known); a.Do {
	case mcp.Balance:
		r.balance()
	case mcp.Stick:
		r.stick(a.Node)
	case mcp.RefuseUnlessInitialize:
		if !r.isInitialize() {
			r.refuse(a.Refusal)
			return
		}
		r.x.Header.Del(mcp.HeaderSession)
		r.class.SessionID = ""
		r.balance()
	default:
		r.refuse(a.Refusal)
	}
}

// isInitialize reads a small body whole to see whether it opens a session.
func (r *relay) isInitialize() bool {
	for !r.whole && len(r.body) < mcp.MaxInitializeBytes {
		var buf [4096]byte
		n, err := r.x.Body.Read(buf[:min(len(buf), mcp.MaxInitializeBytes-len(r.body))])
		r.body = append(r.body, buf[:n]...)
		if err == io.EOF {
			r.whole = true
		} else if err != nil {
			return false
		}
	}
	return r.whole && mcp.IsInitialize(r.body)
}

// stick sends the request to the worker of its session, and to no other.
func (r *relay) stick(node topology.NodeID) {
	until := time.Now()
	if r.class.Kind == mcp.Stream {
		until = until.Add(holdStream)
		defer r.x.Reply.Unwatch()
	}
	for try := 1; ; try++ {
		lease, err := r.s.cfg.Table.Bind(node, time.Now())
		if err == nil && lease.Node().Pool != r.pool.Name { // another node by the same name
			lease.Done(time.Now())
			err = balancer.ErrGone
		}
		switch {
		case errors.Is(err, balancer.ErrFull):
			r.refuse(mcp.Unavailable)
			return
		case err != nil: // gone, down or cut: for the client the session is lost
			if !errors.Is(err, balancer.ErrDown) { // one that is down may come back with all that it holds
				r.s.cfg.Sessions.Drop(r.pool.Name, r.class.SessionID)
			}
			r.record.err = err.Error()
			r.refuse(mcp.NotFound)
			return
		}
		res, f := r.tryNode(lease)
		if res == finished {
			return
		}
		r.endTry(f.reason)
		again := res == unanswered && try < r.route.EffectiveTries() && r.mayRepeat(res) || time.Now().Before(until)
		if !again || !r.pauseHeld() {
			r.refuse(mcp.Unavailable)
			return
		}
		r.metrics.retries.Inc()
	}
}

// pauseHeld waits before a worker is tried again, and reports whether the client still waits, too.
func (r *relay) pauseHeld() bool {
	r.x.Reply.Watch(r)
	time.Sleep(holdPause)
	r.x.Reply.Unwatch()
	gone, _ := r.ending()
	return !gone
}

// learnSession binds or drops the session that the answer opens or ends.
func (r *relay) learnSession(resp *http1.Response) {
	id := ""
	if resp.Header.Count(mcp.HeaderSession) == 1 {
		id = resp.Header.Get(mcp.HeaderSession)
	}
	e := r.class.Response(resp.Status, id)
	if e.Bind != "" {
		r.s.cfg.Sessions.Bind(r.pool.Name, e.Bind, r.node.Name, time.Now())
	}
	if e.Drop != "" {
		r.s.cfg.Sessions.Drop(r.pool.Name, e.Drop)
	}
}

// touchEvery is how often a stream's session is counted as used while events come.
const touchEvery = time.Minute

// touchSession keeps the session of a stream from being forgotten as idle.
func (r *relay) touchSession() {
	if r.class.Kind != mcp.Stream || r.class.SessionID == "" {
		return
	}
	if now := time.Now(); now.Sub(r.touched) > touchEvery {
		r.touched = now
		r.s.cfg.Sessions.Lookup(r.pool.Name, r.class.SessionID, now)
	}
}

// refuse answers with one of mcp's refusals.
func (r *relay) refuse(f *mcp.Refusal) {
	h := exchange.Header{{Name: "Content-Type", Value: f.ContentType}}
	if f.RetryAfter > 0 {
		h.Add("Retry-After", strconv.Itoa(f.RetryAfter))
	}
	if f.Allow != "" {
		h.Add("Allow", f.Allow)
	}
	r.reply(f.Status, h, f.Body)
}
