// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"errors"
	"io"
	"os"
	"sync"
	"sync/atomic"

	"meridian/health"
	"meridian/proxy/exchange"
	"meridian/proxy/http1"
	"meridian/proxy/upstream"
)

// copyBytes is the size of the buffers that bodies go through. Ours: larger reads hardly save calls any more.
const copyBytes = exchange.MaxTake

var copyPool = sync.Pool{New: func() any { return new([copyBytes]byte) }}

// firstBytes is the size of the buffers for what is there of a request's body before the upload, and with which more is waited for
// where that takes a buffer. Ours.
const firstBytes = 4 << 10

var firstPool = sync.Pool{New: func() any { return new([firstBytes]byte) }}

// uploadState is what the goroutine that sends the rest of a request's body leaves behind. It is read after the goroutine
// has ended.
type uploadState struct {
	started   bool
	clientErr error // the client's side broke
	bytes     int64

	// These are touched while it runs, too.
	done     atomic.Bool // the whole body is on its way
	stopping atomic.Bool // stopUpload was called: a failed read is not the client's
}

// startUpload sends the rest of the body in a goroutine of its own, so that a node may answer before it has it all.
func (r *relay) startUpload(c upstream.Call) {
	r.upload.started = true
	if err := r.x.Body.Continue(); err != nil {
		r.upload.clientErr = err
		c.Close()
		return
	}
	if cap(r.body) == firstBytes { // all of it is on its way, and no other try will want it
		firstPool.Put((*[firstBytes]byte)(r.body[:firstBytes]))
		r.body = nil
	}
	r.uploading.Go(func() { r.uploadBody(c) })
}

// uploadBody is the goroutine. It ends when the body is sent, the client or the node fails, or stopUpload is called.
func (r *relay) uploadBody(c upstream.Call) {
	buf := copyPool.Get().(*[copyBytes]byte)
	defer func() { copyPool.Put(buf) }()
	fast := false // the last wait brought more than it had room for
	for {
		n, err := r.x.Body.ReadArrived(buf[:])
		switch {
		case n > 0 || err != nil:
		case fast:
			n, err = r.x.Body.Read(buf[:])
			fast = n >= firstBytes
		default:
			copyPool.Put(buf)
			buf, n, err = r.awaitBody()
			fast = n == firstBytes && r.x.Protocol == "3" // quic-go does not say what else has arrived
		}
		if n > 0 {
			if werr := c.SendBody(buf[:n], r.timeouts.Idle.Std()); werr != nil {
				c.RequestSent() // the node takes no more; it may have said why
				return
			}
			r.upload.bytes += int64(n)
		}
		if err == io.EOF {
			r.uploadDone(c)
			return
		}
		if err != nil {
			if !r.upload.stopping.Load() {
				r.upload.clientErr = err
			}
			c.Close()
			return
		}
	}
}

// awaitBody waits for more of the body and returns it in a buffer of copyPool; it may return nothing. A client that sends its body
// byte by byte does not hold a large buffer meanwhile, or none.
func (r *relay) awaitBody() (*[copyBytes]byte, int, error) {
	if w, ok := r.x.Body.(exchange.Waiter); ok && w.CanAwait() {
		w.Await()
		buf := copyPool.Get().(*[copyBytes]byte)
		n, err := r.x.Body.ReadArrived(buf[:])
		return buf, n, err
	}
	first := firstPool.Get().(*[firstBytes]byte)
	defer firstPool.Put(first)
	n, err := r.x.Body.Read(first[:])
	buf := copyPool.Get().(*[copyBytes]byte)
	copy(buf[:], first[:n])
	if n > 0 && err == nil {
		var more int
		more, err = r.x.Body.ReadArrived(buf[n:])
		n += more
	}
	return buf, n, err
}

func (r *relay) uploadDone(c upstream.Call) {
	if err := c.EndBody(r.conf.managed.keptTrailer(r.x.Body.Trailer()), r.timeouts.Idle.Std()); err != nil {
		c.RequestSent()
		return
	}
	r.upload.done.Store(true)
	c.RequestSent()
	r.x.Reply.Watch(r)
}

// stopUpload ends the upload and reports whether the whole body was sent. If it was not, the connection to the node is
// closed: the upload may wait for the node to take more, and what is there is no use to another request.
func (r *relay) stopUpload() bool {
	if !r.upload.started {
		return true
	}
	if !r.upload.done.Load() {
		r.upload.stopping.Store(true)
		r.x.Body.Stop()
		r.drop()
	}
	r.uploading.Wait()
	return r.upload.done.Load()
}

// badBody answers a request whose body broke off or is malformed.
func (r *relay) badBody() {
	err := r.upload.clientErr
	r.record.err = "request body: " + err.Error()
	r.s.cfg.Observe(r.node.Name, health.ClientGone, "")
	var refusal *http1.Refusal
	switch {
	case errors.As(err, &refusal) && refusal.Status != 400: // too slow or too long
		r.last = true
		r.answer(refusal.Status, 0, "%s", refusal.Reason)
	case errors.As(err, &refusal):
		r.answer(refusal.Status, 0, "the request's body is malformed: %s", refusal.Reason)
	case errors.Is(err, os.ErrDeadlineExceeded):
		r.answer(408, 0, "the request's body was not sent within %s", r.timeouts.Idle)
	default:
		r.abort()
	}
}
