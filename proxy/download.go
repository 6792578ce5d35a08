// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"errors"
	"io"
	"strings"
	"time"

	"meridian/balancer"
	"meridian/health"
	"meridian/proxy/exchange"
	"meridian/proxy/http1"
	"meridian/proxy/upstream"
)

// relayAnswer sends the node's answer to the client, as it comes.
func (r *relay) relayAnswer(c upstream.Call, resp *http1.Response) {
	r.record.firstByte = time.Since(r.x.Received)
	r.answered(resp.Status, resp.Header)
	r.learn(resp)
	r.fields = r.appendExplained(r.appendAltSvc(appendKept(r.fields[:0], resp.Header)))
	status := resp.Status
	r.head = exchange.Head{Status: status, Header: r.fields, Length: resp.Length, Close: r.last || r.s.leaving.Load()}
	if r.isH2 && resp.Length >= 0 && isGRPC(resp.Header.Get("Content-Type")) {
		r.head.Length = exchange.LengthUnknown // HTTP/1.1 has trailers only behind chunks
	}
	err := r.x.Reply.WriteHead(&r.head)
	r.progress.Store(1)
	r.record.status = status
	r.noteGRPC(status, resp.Header.Get("Content-Type"))
	if _, cut := r.ending(); err == nil && cut {
		err = errEnded // WriteHead began anew what was interrupted
	}
	if err == nil {
		err = r.relayBody(c.Body())
	}
	sent := r.stopUpload() // after a whole answer the node wants no more of the request
	r.x.Reply.Unwatch()
	switch {
	case err != nil:
		r.record.err = err.Error()
		r.drop()
		r.brokenAnswer(err)
	case !sent:
		r.drop()
		r.judge(status)
	default:
		if c := r.detach(); c != nil {
			c.Release(r.pool.UpstreamIdle.Std())
		}
		r.judge(status)
	}
}

// inform passes an interim answer of the node's on (RFC 8297's 103, mostly), where the client takes it.
func (r *relay) inform(h *exchange.Head) error {
	w, ok := r.x.Reply.(exchange.Informer)
	if !ok {
		return nil
	}
	r.fields = appendKept(r.fields[:0], h.Header)
	err := w.Inform(h.Status, r.fields)
	if err != nil {
		r.ClientGone()
	}
	return err
}

// relayBody copies the body, flushing before each wait for the node: what has arrived goes out in one write, and nothing
// that has arrived is held back. Nothing is read from the node for a client that takes no more, so that little is held for it.
func (r *relay) relayBody(body upstream.Body) error {
	buf := copyPool.Get().(*[copyBytes]byte)
	defer func() { copyPool.Put(buf) }()
	w := r.x.Reply
	taker, _ := w.(exchange.Taker)
	unwatched := false
	for {
		size := copyBytes
		if taker != nil && r.record.bytesOut > 0 {
			size = taker.Takes()
		}
		if size == 0 {
			copyPool.Put(buf)
			if b, ok := body.(shrinker); ok {
				b.Shrink()
			}
			w.Unwatch() // writes tell now whether the client has left
			unwatched = true
			err := taker.AwaitTakes()
			buf = copyPool.Get().(*[copyBytes]byte)
			if err != nil {
				return &clientError{err}
			}
			continue
		}
		n, err := body.ReadArrived(buf[:size])
		if n == 0 && err == nil {
			if err := w.Flush(); err != nil {
				return &clientError{err}
			}
			if unwatched && (r.whole || r.upload.done.Load()) {
				unwatched = false
				w.Watch(r)
			}
			if waits, ok := body.(exchange.Waiter); ok && waits.CanAwait() {
				copyPool.Put(buf)
				waits.Await()
				buf = copyPool.Get().(*[copyBytes]byte)
				n, err = body.ReadArrived(buf[:size])
			} else {
				n, err = body.Read(buf[:size])
			}
		}
		if n > 0 {
			r.touchSession()
			r.record.bytesOut += int64(n)
			r.progress.Store(r.record.bytesOut + 1)
			if _, werr := w.Write(buf[:n]); werr != nil {
				return &clientError{werr}
			}
			r.events.passed(buf[:n])
		}
		if err == io.EOF {
			if err := w.End(r.answerTrailer(body)); err != nil {
				return &clientError{err}
			}
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// shrinker is a body of a node's that has a buffer to give back.
type shrinker interface{ Shrink() }

func (r *relay) answerTrailer(body upstream.Body) exchange.Header {
	if t := body.Trailer(); len(t) > 0 {
		if load := loadIn(t); load != (balancer.Reported{}) {
			r.lease.ReportLate(load, time.Now())
		}
		return r.conf.managed.keptTrailer(t)
	}
	return nil
}

// errEnded stands for a node's answer that came too late.
var errEnded = errors.New("the request was ended before its answer began")

// clientError is a failed write to the client, which says nothing of the node.
type clientError struct{ error }

func (e *clientError) Unwrap() error { return e.error }

// brokenAnswer ends an answer that broke off midway. What was started is never ended as if it were whole.
func (r *relay) brokenAnswer(err error) {
	gone, cut := r.ending()
	_, client := err.(*clientError)
	switch {
	case cut && !gone: // a write that was interrupted is not the client's doing
		r.cutShort()
		return
	case gone || client || r.upload.clientErr != nil:
		r.record.err = "the client left"
		r.s.cfg.Observe(r.node.Name, health.ClientGone, "")
	default:
		r.s.cfg.Observe(r.node.Name, health.GatewayError, "the answer broke off: "+err.Error())
		if !r.x.Reply.Started() {
			r.fail(failure{status: 502, reason: "the node's answer broke off"})
			return
		}
		r.breakOffBy(err)
		return
	}
	r.abort()
}

// judge reports the outcome of a whole answer.
func (r *relay) judge(status int) {
	switch status {
	case 502, 503, 504:
		r.s.cfg.Observe(r.node.Name, health.GatewayError, statusReasons[status-502])
	default:
		r.s.cfg.Observe(r.node.Name, health.Success, "")
	}
}

var statusReasons = [...]string{"status 502", "status 503", "status 504"}

// learn takes from the answer's head what it says of the session, and whether it is a stream that stays open.
func (r *relay) learn(resp *http1.Response) {
	if r.isMCP {
		r.learnSession(resp)
	}
	if r.longLived() && isEventStream(resp.Header.Get("Content-Type")) {
		r.lease.Stream()
		r.leaveBudget()
		if resp.Length == exchange.LengthUnknown && resp.Header.Get("Content-Encoding") == "" {
			r.mu.Lock()
			r.events.streams = true
			r.mu.Unlock()
		}
	}
}

// longLived reports whether the request opens a stream, rather than one answer that comes in events.
func (r *relay) longLived() bool {
	return r.x.Method == "GET" || r.isMCP && r.x.Header.Get("Mcp-Method") == "subscriptions/listen"
}

func isEventStream(contentType string) bool {
	media, _, _ := strings.Cut(contentType, ";")
	return strings.EqualFold(strings.TrimSpace(media), "text/event-stream")
}
