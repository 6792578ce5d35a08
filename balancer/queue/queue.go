// SPDX-License-Identifier: Apache-2.0

// Package queue holds requests that wait for a place: few, for a short time, and none that can't be in time.
//
// Why: past a node's limit a request may wait a moment rather than fail, but a long line helps nobody. Everybody in it waits until just
// before its deadline, and nodes work on answers that nobody waits for any more.
//
// Refused is at once who finds the queue full, and who by the pace of the last places given could not have one in time. Served are the
// oldest first, and while the queue is more than half full the newest first: then not all can be served in time, and the newest have the
// most of it left. A place is for one; who finds that another was faster asks again.
//
// It has no clock and starts no goroutine. A ticket's function is called once, by whoever calls Grant or Expire, without the queue's
// lock; it must not block.
//
//	t, err := q.Add(now, deadline, func(granted bool) { wake <- granted }) // room for one
//	… // ErrFull, ErrLate: 503
//	if !q.Leave(t) { … } // was granted, or expired, in the meantime
package queue

import (
	"errors"
	"sync"
	"time"
)

// What Add returns.
var (
	ErrFull = errors.New("the queue is full")
	ErrLate = errors.New("no place could come free in time")
)

// Queue is a bounded line. Safe for concurrent use.
type Queue struct {
	size int

	mu          sync.Mutex // guards the fields below
	first, last *Ticket    // oldest and newest
	n           int
	granted     time.Time     // when a place was given last
	pace        time.Duration // average time between two places while somebody waited; 0: not known
}

// Ticket is one request's place in the line.
type Ticket struct {
	deadline   time.Time
	ready      func(granted bool)
	older, nxt *Ticket
	waits      bool
}

// New returns a queue of at most size tickets. At 0 all are refused.
func New(size int) *Queue { return &Queue{size: size} }

// Resize changes how many tickets there may be. Those that wait stay.
func (q *Queue) Resize(size int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.size = size
}

// Len returns how many wait.
func (q *Queue) Len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.n
}

// Add takes a ticket. ready is called with true when there is a place, with false when the deadline has passed. The error is ErrFull or
// ErrLate.
func (q *Queue) Add(now, deadline time.Time, ready func(granted bool)) (*Ticket, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.n >= q.size {
		return nil, ErrFull
	}
	if q.n == 0 {
		q.granted, q.pace = now, 0 // the pace is that of a line: what an earlier one had says nothing
	}
	ahead := q.n
	if q.newestFirst() {
		ahead = 0
	}
	if !deadline.After(now.Add(q.pace * time.Duration(ahead+1))) {
		return nil, ErrLate
	}
	t := &Ticket{deadline: deadline, ready: ready, older: q.last, waits: true}
	if q.last != nil {
		q.last.nxt = t
	} else {
		q.first = t
	}
	q.last = t
	q.n++
	return t, nil
}

// newestFirst reports whether the line is more than half full.
func (q *Queue) newestFirst() bool { return 2*q.n > q.size }

// paceWeight is the weight of one place given in the average.
const paceWeight = 8

// Grant gives a place to the one whose turn it is, and reports whether there was one. Tickets whose deadline has passed are told so
// on the way.
func (q *Queue) Grant(now time.Time) bool {
	for {
		t, granted := q.next(now)
		if t == nil {
			return false
		}
		t.ready(granted)
		if granted {
			return true
		}
	}
}

// next takes the ticket whose turn it is out, and says whether it is in time.
func (q *Queue) next(now time.Time) (*Ticket, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	t := q.first
	if q.newestFirst() {
		t = q.last
	}
	if t == nil {
		return nil, false
	}
	q.remove(t)
	if !now.Before(t.deadline) {
		return t, false
	}
	if took := max(0, now.Sub(q.granted)); q.pace == 0 {
		q.pace = took
	} else {
		q.pace += (took - q.pace) / paceWeight
	}
	q.granted = now
	return t, true
}

// Leave takes a ticket out whose request is gone. It reports false if its function was called or is about to be.
func (q *Queue) Leave(t *Ticket) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !t.waits {
		return false
	}
	q.remove(t)
	return true
}

// Expire tells all tickets whose deadline has passed.
func (q *Queue) Expire(now time.Time) {
	for _, t := range q.expired(now) {
		t.ready(false)
	}
}

func (q *Queue) expired(now time.Time) []*Ticket {
	q.mu.Lock()
	defer q.mu.Unlock()
	var out []*Ticket
	for t := q.first; t != nil; {
		next := t.nxt
		if !now.Before(t.deadline) {
			q.remove(t)
			out = append(out, t)
		}
		t = next
	}
	return out
}

// remove takes a ticket that waits out of the line.
func (q *Queue) remove(t *Ticket) {
	if t.older != nil {
		t.older.nxt = t.nxt
	} else {
		q.first = t.nxt
	}
	if t.nxt != nil {
		t.nxt.older = t.older
	} else {
		q.last = t.older
	}
	t.older, t.nxt, t.waits = nil, nil, false
	q.n--
}
