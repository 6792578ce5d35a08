// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"errors"
	"time"

	"meridian/balancer"
	"meridian/balancer/queue"
)

// waitStep is how often one that waits looks for itself: a place may come free without anybody ending a request, as when a node comes up or
// a limit rises, and the client may leave.
const waitStep = 50 * time.Millisecond

// await waits for a place in the pool, whose nodes are full, if the pool has a queue and a place may come in time. The error is that of the
// last pick. until is when the request gives up in any case.
func (r *relay) await(full error, until time.Time) (balancer.Lease, error) {
	var none *balancer.NoNodeError
	conf := r.pool.Queue.WithDefaults()
	if conf.Size == 0 || !errors.As(full, &none) || none.Full == 0 {
		return balancer.Lease{}, full
	}
	q := r.metrics.line(conf.Size)
	now := time.Now()
	deadline := now.Add(conf.Timeout.Std())
	if until.Before(deadline) {
		deadline = until
	}
	r.x.Reply.Watch(r)
	defer r.x.Reply.Unwatch()
	r.s.waiting.add(r)
	defer r.s.waiting.remove(r)
	for {
		turn := make(chan bool, 1)
		t, err := q.Add(now, deadline, func(granted bool) { turn <- granted })
		if err != nil {
			r.metrics.queueRefused.Inc()
			return balancer.Lease{}, full
		}
		lease, heard, err := r.inLine(turn, deadline)
		unused := heard && err == errLeft
		if !heard && !q.Leave(t) {
			unused = <-turn // it was called just now
		}
		if unused {
			q.Grant(time.Now())
		}
		if now = time.Now(); err == nil || !errors.As(err, &none) || !now.Before(deadline) {
			return lease, err
		}
		full = err // it was this one's turn, but another was faster: once more
	}
}

// inLine waits for the turn, and looks now and then before it. heard says that it has come, or that it will not. The error is that of the
// last pick, or errLeft.
func (r *relay) inLine(turn chan bool, deadline time.Time) (l balancer.Lease, heard bool, err error) {
	step := time.NewTicker(waitStep)
	defer step.Stop()
	end := time.NewTimer(time.Until(deadline))
	defer end.Stop()
	for {
		over := false
		select {
		case <-turn:
			heard = true
		case <-step.C:
		case <-end.C:
			over = true
		}
		if gone, cut := r.ending(); gone || cut {
			return balancer.Lease{}, heard, errLeft
		}
		if l, err = r.pick(time.Now()); err == nil || heard || over {
			return l, heard, err
		}
	}
}

// errLeft is for a request that ended while it waited.
var errLeft = errors.New("the request has ended while it waited for a node")

// line returns the pool's queue, which takes the size that is in force now.
func (p *poolMetrics) line(size int) *queue.Queue {
	if q := p.queue.Load(); q != nil {
		q.Resize(size)
		return q
	}
	p.queue.CompareAndSwap(nil, queue.New(size))
	return p.queue.Load()
}

// placeFree gives the place of a request that has ended to one that waits.
func (p *poolMetrics) placeFree() {
	if p == nil {
		return
	}
	if q := p.queue.Load(); q != nil {
		q.Grant(time.Now())
	}
}

// queued returns how many requests wait.
func (p *poolMetrics) queued() float64 {
	if q := p.queue.Load(); q != nil {
		return float64(q.Len())
	}
	return 0
}

// leftWaiting ends a request whose client has left, or whose time has run out, before it had a node.
func (r *relay) leftWaiting(gone bool) {
	if !gone {
		r.cutShort()
		return
	}
	r.record.err = "the client left"
	r.abort()
}
