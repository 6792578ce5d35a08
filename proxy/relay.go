// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"meridian/balancer"
	"meridian/mcp"
	"meridian/proxy/exchange"
	"meridian/proxy/tunnel"
	"meridian/proxy/upstream"
	"meridian/topology"
)

// maxTries bounds a route's tries (topology.Route.Tries).
const maxTries = 10

// relay is one request on its way to a node and back. The goroutine of the handler owns it; the fields below mu are also
// touched by the client's watcher, the upload and CutNode. Relays are pooled, and so are their buffers.
type relay struct {
	s        *Server
	conf     *Config // in force when the request came
	x        *exchange.Exchange
	snap     *topology.Snapshot
	route    *topology.Route
	pool     *topology.Pool
	metrics  *poolMetrics
	timeouts topology.Timeouts
	origin   origin
	id       string        // of the request: see idField
	idText   [idBytes]byte // its bytes, where it is the edge's
	asked    *asked        // nil: nobody has asked for an explanation

	class   mcp.Class // for MCP pools
	isMCP   bool
	isH2    bool      // the nodes speak HTTP/2
	failing bool      // the answer that was begun is gRPC's, which may end with a status that says that it failed
	touched time.Time // when the session of a stream was last counted as used

	lease  balancer.Lease
	node   *topology.Node
	tried  [maxTries]topology.NodeID
	nTried int

	fields  exchange.Header  // as they go out, to the node and then to the client
	request upstream.Request // to the node; here because it would otherwise be allocated
	head    exchange.Head    // of the answer; here because it would otherwise be allocated
	wire    []byte           // request bytes to the node
	body    []byte           // what was read of the request's body before the upload
	whole   bool             // body is all of it

	uploading sync.WaitGroup
	upload    uploadState

	capped cappedBody // of a route that bounds a body of unknown length
	last   bool       // the client's connection takes no further request
	clock  clock
	events events // of an answer that is a stream of them

	budgeted bool // counted as live traffic of the pool
	retrying bool // and as a retry

	upgrade string // the protocol that the request asks to switch to, or ""

	wait     atomic.Uint32 // whether LeaveNode may end the wait for an answer
	record   record
	progress atomic.Int64               // 0 until the answer's head is relayed, then the bytes of its body and 1
	isName   func(string) bool          // r.nameKnown, made once
	informs  func(*exchange.Head) error // r.inform, made once

	shard      uint32 // of the registry, for good
	prev, next *relay // in it

	mu       sync.Mutex     // guards the fields below
	conn     upstream.Call  // to be closed when the client is gone or the node is cut
	stopDial func()         // not nil: to be called then, since a connection is being made
	tunnel   *tunnel.Tunnel // to be ended instead, once there is one
	switches bool           // there will be: the client is being told so
	gone     bool
	wasCut   bool
	late     bool // the request took longer than its route or its client allows
}

var relayPool = sync.Pool{New: func() any {
	r := &relay{shard: relaysMade.Add(1)}
	r.isName = r.nameKnown
	r.informs = r.inform
	return r
}}

// handle is the exchange.Handler.
func (s *Server) handle(x *exchange.Exchange) {
	r := relayPool.Get().(*relay)
	r.s, r.x, r.conf = s, x, s.live.Load()
	s.metrics.inFlight.Add(1)
	defer r.release()
	r.run()
}

// release writes the record of the request and gives the relay back.
func (r *relay) release() {
	if v := recover(); v != nil {
		defer panic(v) // for the engine to report; what was taken is given back first
		r.x.Body.Stop()
		if c := r.detach(); c != nil {
			c.Close()
		}
		r.uploading.Wait()
	}
	r.stopClock()
	r.leaveBudget()
	r.x.Reply.Unwatch()
	r.endLease()
	r.events.stop() // after endLease: nobody cuts it any more
	r.s.metrics.inFlight.Add(-1)
	r.s.finish(r)
	r.keepExplained()
	wire, body, fields, isName, informs, shard := r.wire, r.body, r.fields, r.isName, r.informs, r.shard // no copy of r
	clear(fields[:cap(fields)])
	*r = relay{wire: wire[:0], body: body[:0], fields: fields[:0], isName: isName, informs: informs, shard: shard}
	relayPool.Put(r)
}

// run answers the request.
func (r *relay) run() {
	r.origin = r.conf.originOf(r.x)
	r.x.ClientIP = r.origin.ip
	r.nameIt()
	if r.asksRightly() {
		r.asked = &asked{}
	}
	if r.misdirected() {
		r.refuseRequest(421, "the host is not one of this connection's certificate; connect anew for it")
		return
	}
	if r.looped() || !r.hops() {
		return
	}
	r.snap = r.s.cfg.Snapshot()
	r.route = r.snap.Match(r.x.Method, hostKey(r.x.Host), r.x.Path)
	if r.route == nil {
		r.noRoute()
		return
	}
	r.timeouts = r.route.Timeouts.WithDefaults()
	r.x.Reply.SetIdle(r.timeouts.Idle.Std())
	r.startClock()
	r.metrics = r.s.metrics.of(r.route.Pool)
	if r.pool = r.snap.Pool(r.route.Pool); r.pool == nil {
		r.answer(503, 1, "the pool %s of route %s is not in the topology", r.route.Pool, r.route.Name)
		return
	}
	if !r.admit() {
		return
	}
	r.enterBudget()
	if r.isMCP = r.pool.Protocol == topology.ProtocolMCP; r.isMCP {
		r.runMCP()
		return
	}
	if r.isH2 = r.pool.Protocol.IsHTTP2(); !r.isH2 {
		r.upgrade = r.askedUpgrade()
	}
	r.balance()
}

// misdirected reports whether the request came over TLS with a handshake for another certificate's host: RFC 9110,
// section 7.4. Whoever may speak to one host must not reach another one's routes by it.
func (r *relay) misdirected() bool {
	return r.x.Scheme == "https" && r.s.cfg.TLS != nil && r.s.cfg.TLS.Misdirected(r.x.ServerName, hostKey(r.x.Host))
}

// hostKey returns a request's host as routes name it: lower case, no port, no final dot.
func hostKey(host string) string {
	if i := strings.LastIndexByte(host, ':'); i > strings.LastIndexByte(host, ']') {
		host = host[:i]
	}
	return strings.ToLower(strings.TrimSuffix(host, ".")) // allocates only if there is upper case
}

// nameKnown reports whether a host is a Name of the topology.
func (r *relay) nameKnown(host string) bool { return r.snap.Name(topology.NameID(host)) != nil }

// noRoute answers a request that no route takes.
func (r *relay) noRoute() {
	if hasEncodedSlash(r.x.Path) {
		r.refuseRequest(400, "the path has an encoded slash, and no route takes it")
		return
	}
	if r.x.Path != "/healthz" || r.x.Method != "GET" && r.x.Method != "HEAD" {
		r.answer(404, 0, "no route takes this host, path and method")
		return
	}
	ok, body := r.s.cfg.Health()
	status := 200
	if !ok {
		status = 503
	}
	r.reply(status, exchange.Header{{Name: "Content-Type", Value: contentTypeOf(body)}, {Name: "Cache-Control", Value: "no-store"}}, body)
}

func contentTypeOf(body []byte) string {
	if len(body) > 0 && body[0] == '{' {
		return "application/json"
	}
	return "text/plain; charset=utf-8"
}

// took notes the node that a lease is on. It reports false where the node was cut in the meantime.
func (r *relay) took(l balancer.Lease) bool {
	r.lease, r.node = l, l.Node()
	r.record.tries++
	r.record.node = r.node.Name
	r.notePick()
	r.s.relays.add(r)
	select {
	case <-l.Cut(): // after add: whoever cuts later finds the relay in the registry
		r.cut()
		return false
	default:
		return true
	}
}

// endLease gives the place on the node back, if there is one.
func (r *relay) endLease() {
	if r.node == nil {
		return
	}
	r.s.relays.remove(r)
	r.lease.Done(time.Now())
	r.metrics.placeFree()
	r.node = nil
}

// adopt makes c the connection that is closed when the request is to end early. It reports false, and closes c, if that
// was asked for already.
func (r *relay) adopt(c upstream.Call) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.gone || r.wasCut || r.lateLocked() {
		c.Close()
		return false
	}
	r.conn = c
	r.wait.Store(waitsForGood)
	if r.mayLeave() {
		r.wait.Store(waitsForHead)
	}
	return true
}

// detach takes the connection back: after it, nobody else closes it.
func (r *relay) detach() upstream.Call {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.conn
	r.conn = nil
	return c
}

// ClientGone implements exchange.Canceler. The connection to the node is closed at once: for MCP's modern era that is the
// cancel, for the legacy one it is none, and there is nobody left to relay to.
func (r *relay) ClientGone() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.gone = true
	r.closeLocked()
}

// cut ends the request because its node's drain has reached the deadline. It reports whether it was the first to do so.
func (r *relay) cut() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.wasCut {
		return false
	}
	r.wasCut = true
	if r.events.streams && r.tunnel == nil {
		r.closeLocked()
		r.events.interruptAfter(cutGoodbye, r.x.Reply.Interrupt)
		return true
	}
	r.endLocked()
	return true
}

// ending returns whether the client is gone, and whether the request was ended: its node was cut, or it took too long.
func (r *relay) ending() (gone, cut bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.gone, r.wasCut || r.lateLocked()
}
