// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"time"

	"meridian/balancer"
	"meridian/health"
	"meridian/proxy/exchange"
	"meridian/proxy/http1"
	"meridian/proxy/upstream"
	"meridian/proxy/upstream/h2"
)

// result is how a try on a node ended.
type result uint8

const (
	finished   result = iota // the client has been answered, well or not, or is gone
	unsent                   // no byte of the request was sent: any node may have it
	unanswered               // sent, no byte of an answer came, and the request may be repeated
	stale                    // unsent, because the connection had been closed while it was unused
	left                     // sent, no byte of an answer was passed on, the request may be repeated, and the node was found to be down
)

// failure is why a try did not succeed: for the client, without addresses, if it is the last.
type failure struct {
	status    int
	reason    string
	blameless bool // it says nothing of the node's health
}

// balance has a node picked and tries it, then others, up to the route's tries and its time to the first byte. The contract: a
// request is tried again only if no byte of an answer has come, and either no byte of the request was sent, or its method
// may be repeated (RFC 9110, section 9.2.2) and all of its body is at hand. A POST that was sent once is never sent twice. Retries
// of what was sent must also fit the pool's budget.
func (r *relay) balance() {
	giveUp := r.x.Received.Add(r.timeouts.FirstByte.Std())
	var last failure
	var res result
	for {
		at := time.Now()
		if r.isLate() {
			r.cutShort()
			return
		}
		if r.nTried >= r.route.EffectiveTries() || r.nTried > 0 && (at.After(giveUp) || !r.mayRepeat(res)) {
			r.fail(last)
			return
		}
		lease, err := r.pick(at)
		if err != nil && r.nTried == 0 {
			lease, err = r.await(err, giveUp)
		}
		if err != nil {
			if gone, cut := r.ending(); gone || cut {
				r.leftWaiting(gone)
			} else if r.nTried > 0 {
				r.fail(last)
			} else {
				r.noNode(err)
			}
			return
		}
		if r.nTried > 0 {
			r.metrics.retries.Inc()
		}
		res, last = r.tryNode(lease)
		if res == finished {
			return
		}
		r.tried[r.nTried] = r.node.Name
		r.nTried++
		r.endTry(last.reason)
	}
}

// noNode answers a request that no node of the pool can take.
func (r *relay) noNode(err error) { r.answer(503, 1, "%v", err) }

// fail answers a request whose tries are spent.
func (r *relay) fail(f failure) {
	retryAfter := 0
	if f.status == 503 {
		retryAfter = 1
	}
	r.answer(f.status, retryAfter, "pool %s: %s", r.pool.Name, f.reason)
}

// tryNode sends the request to the node of the lease, which it keeps. A connection that was kept may have been closed by the
// node just then; the same node is asked again on a new one, where that may be.
func (r *relay) tryNode(l balancer.Lease) (result, failure) {
	if !r.took(l) {
		return unsent, failure{status: 503, reason: "the node was drained"}
	}
	if err := r.takeArrived(); err != nil {
		r.upload.clientErr = err
		r.badBody()
		return finished, failure{}
	}
	connect := r.timeouts.Connect.Std()
	c, err := r.connect(connect, false)
	for {
		if err != nil {
			return r.connectFailed(err)
		}
		if !r.adopt(c) {
			r.ended()
			return finished, failure{}
		}
		res, f := r.exchange(c)
		if res == stale {
			c, err = r.connect(connect, false)
			continue
		}
		if res == finished || res == left || !c.Reused() {
			if res != finished && res != left && !f.blameless {
				r.unanswered(health.GatewayError, f.reason)
			}
			return res, f
		}
		r.metrics.staleRetries.Inc()
		c, err = r.connect(connect, true)
	}
}

// connectFailed reports a connection that could not be made, unless that was this machine's fault.
func (r *relay) connectFailed(err error) (result, failure) {
	if gone, cut := r.ending(); gone || cut { // which may be why there is none
		r.ended()
		return finished, failure{}
	}
	r.record.err = err.Error()
	if r.wait.Swap(waitsForGood) == hasLeft {
		return unsent, failure{status: 503, reason: errLeftNode.Error()}
	}
	if upstream.Local(err) {
		return unsent, failure{status: 503, reason: "the edge can make no more connections"}
	}
	reason := "connect refused"
	if errors.Is(err, h2.ErrGreeting) {
		reason = h2.ErrGreeting.Error()
	}
	if timeout := net.Error(nil); errors.As(err, &timeout) && timeout.Timeout() { // a dial's is not os.ErrDeadlineExceeded
		reason = "no connection within " + r.timeouts.Connect.String()
	}
	r.unanswered(health.ConnectFailed, reason)
	return unsent, failure{status: 503, reason: "no node could be reached (" + reason + ")"}
}

// exchange sends the request on c and relays the answer. It owns c from here on.
func (r *relay) exchange(c upstream.Call) (result, failure) {
	c.Begin(r.timeouts.FirstByte.Std(), !r.whole)
	r.makeRequest()
	if r.whole {
		r.x.Reply.Watch(r) // before Send, which may wait for the answer
	}
	n, err := c.Send(&r.request, &r.wire, r.timeouts.Idle.Std())
	if err != nil && n == 0 {
		r.x.Reply.Unwatch()
		r.drop()
		if gone, cut := r.ending(); gone || cut {
			r.ended()
			return finished, failure{}
		}
		if errors.Is(err, upstream.ErrStale) {
			return stale, failure{}
		}
		return unsent, failure{status: 502, reason: "the connection to the node broke", blameless: errors.Is(err, h2.ErrUnprocessed)}
	}
	r.record.bytesIn = int64(len(r.body))
	switch {
	case err != nil: // the node may have answered before it closed
		c.RequestSent()
	case !r.whole:
		r.lease.Untimed() // the client sends at its own pace
		r.startUpload(c)
	}
	resp, started, err := c.ReadHead(http1.Sent{Method: r.x.Method, Upgrade: r.upgrade != "", Interim: r.informs}, r.timeouts.Idle.Std())
	if r.wait.Swap(waitsForGood) == hasLeft {
		return r.leftNode()
	}
	if err == nil && resp.Status == 101 {
		return r.switchProtocols(c.(*upstream.Conn), resp) // only that is asked to switch
	}
	if err == nil {
		r.relayAnswer(c, resp)
		return finished, failure{}
	}
	return r.noAnswer(started, err)
}

// takeArrived reads into r.body what has arrived of the request's body. What is there on a further try is kept: it is sent
// again, and it is all that was read. The error is that of a body that is malformed so far: no node sees that request.
func (r *relay) takeArrived() error {
	r.whole = r.whole || r.x.Length == exchange.LengthNone
	for !r.whole && len(r.body) < r.conf.MaxKeptBody {
		switch {
		case cap(r.body) == 0:
			r.body = firstPool.Get().(*[firstBytes]byte)[:0]
		case len(r.body) == cap(r.body):
			r.body = slices.Grow(r.body, firstBytes)
		}
		room := r.body[len(r.body):min(cap(r.body), r.conf.MaxKeptBody)]
		n, err := r.x.Body.ReadArrived(room)
		r.body = r.body[:len(r.body)+n]
		switch {
		case err == io.EOF:
			r.whole = true
		case err != nil:
			return err
		case n == 0:
			return nil
		}
	}
	return nil
}

// makeRequest fills r.request: the head, and what is at hand of the body.
func (r *relay) makeRequest() {
	r.fields = r.appendRequestFields(r.fields[:0])
	switch {
	case r.upgrade != "":
		r.fields = appendUpgrade(r.fields, r.upgrade)
	case r.isH2:
		r.fields = appendTrailerFields(r.fields, r.x.Header)
	}
	host := r.x.Host
	if r.isMCP || host == "" {
		host = r.node.Address // the MCP SDKs refuse a Host that is not the worker's own; the edge has checked the client's
	}
	r.request = upstream.Request{Outgoing: http1.Outgoing{
		Method: r.x.Method, Target: r.x.Target, Host: host, Header: r.fields, Length: r.x.Length,
	}, Body: r.body, Whole: r.whole}
	if r.whole && (r.isH2 || r.x.Length == exchange.LengthUnknown) {
		r.request.Trailer = r.conf.managed.keptTrailer(r.x.Body.Trailer())
	}
}

// appendTrailerFields appends what a node of HTTP/2 is told of trailers: that the client takes them (RFC 9113, section 8.2.2;
// gRPC insists on it), and which ones it sends, since some servers show no other ones.
func appendTrailerFields(dst, from exchange.Header) exchange.Header {
	if from.HasToken("TE", "trailers") {
		dst = append(dst, exchange.Field{Name: "TE", Value: "trailers"})
	}
	if sent := from.Get("Trailer"); sent != "" {
		dst = append(dst, exchange.Field{Name: "Trailer", Value: sent})
	}
	return dst
}

// noAnswer decides what becomes of a request that was sent and not answered.
func (r *relay) noAnswer(started bool, err error) (result, failure) {
	uploaded := r.stopUpload()
	r.x.Reply.Unwatch()
	r.drop()
	r.record.err = err.Error()
	gone, cut := r.ending()
	if gone || cut || r.upload.clientErr != nil {
		r.ended()
		return finished, failure{}
	}
	var refusal *http1.Refusal
	var f failure
	switch {
	case errors.As(err, &refusal): // the log says how; what the node sent may have been meant for another client
		f = failure{status: 502, reason: "the node's answer is malformed"}
	case errors.Is(err, os.ErrDeadlineExceeded):
		f = failure{status: 504, reason: "the node did not answer within " + r.timeouts.FirstByte.String()}
	case !started && repeatable(r.x.Method) && r.whole && uploaded:
		return unanswered, failure{status: 502, reason: "the node closed the connection without an answer"}
	case errors.Is(err, h2.ErrUnprocessed) && r.whole && !r.upload.started:
		return unsent, failure{status: 503, reason: "the node did not take the request", blameless: true}
	default:
		f = failure{status: 502, reason: "the node closed the connection before its answer was whole"}
	}
	r.unanswered(health.GatewayError, f.reason)
	r.fail(f)
	return finished, failure{}
}

// repeatable reports whether a request may be sent again although a node may have acted on it: RFC 9110, section 9.2.2.
func repeatable(method string) bool {
	switch method {
	case "GET", "HEAD", "OPTIONS", "PUT", "DELETE":
		return true
	}
	return false
}

// drop closes the connection to the node.
func (r *relay) drop() {
	if c := r.detach(); c != nil {
		c.Close()
	}
}

// ended finishes a request that was not answered and will not be, because of the client or of a cut.
func (r *relay) ended() {
	gone, cut := r.ending()
	switch {
	case gone:
		r.s.cfg.Observe(r.node.Name, health.ClientGone, "")
		r.record.err = "the client left"
		r.abort()
	case cut:
		r.cutShort()
	default:
		r.badBody()
	}
}

// abort breaks the answer off.
func (r *relay) abort() {
	r.record.aborted = true
	r.x.Reply.Abort()
}
