// SPDX-License-Identifier: Apache-2.0

package http1

import (
	"net"
	"sync"
	"time"
)

// lot is where connections wait that have no request: without a goroutine and without a buffer. A poller, which the
// platform provides, tells it which ones have something to be read, and the lot gives each of those a goroutine; it ends
// those whose time is over. The zero value is an empty lot.
type lot struct {
	mu     sync.Mutex // guards the fields below, and the spaces of the connections
	poller *poller    // nil until the first connection is parked
	closed bool
	byFD   []*peer // by the file descriptor
	queues [3]queue
	wake   time.Time // when the poller comes back by itself
}

// space is a connection's place in the lot.
type space struct {
	row        queueID
	standing   bool   // it is parked
	registered bool   // with the poller
	cut        bool   // it is about to be closed: it must not be parked any more
	turn       uint32 // counts how often it was parked: an event for another turn is out of date
	until      time.Time
	prev, next *peer
}

// queueID is one of the queues. Each is in the order in which they give up: all of a queue wait for the same time, unless
// the configuration changes.
type queueID uint8

const (
	fresh   queueID = iota // has sent nothing yet
	idle                   // has had an answer
	leaving                // the server shuts down
)

type queue struct{ first, last *peer }

// park has p wait in the lot. It reports false where it can't: the caller then waits itself. After true p belongs to the
// lot and whoever it hands it to.
func (l *lot) park(p *peer) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p.cut || l.closed || p.closing() || !l.open() {
		return false
	}
	p.turn++
	if !l.poller.watch(p) {
		return false
	}
	now := time.Now()
	p.parked = now
	row := idle
	if !p.served {
		row = fresh
	}
	l.push(p, row, now.Add(p.waitTimeout()))
	return true
}

// open starts the poller at the first use.
func (l *lot) open() bool {
	if l.poller == nil {
		p, err := newPoller()
		if err != nil {
			l.closed = true // every connection then has a goroutine, as on platforms without a poller
			return false
		}
		l.poller = p
		go l.run(p)
	}
	return true
}

// close ends the poller, and returns when it has ended.
func (l *lot) close() {
	l.mu.Lock()
	p := l.poller
	l.poller, l.closed = nil, true
	l.mu.Unlock()
	if p != nil {
		p.close()
	}
}

// run is the lot's goroutine.
func (l *lot) run(p *poller) {
	defer close(p.done)
	for {
		l.setAlarm(p)
		if !p.wait(l.arrived) {
			return
		}
		l.expire(time.Now())
	}
}

// setAlarm has the poller come back when the first connection's time is over.
func (l *lot) setAlarm(p *poller) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wake = time.Time{}
	for i := range l.queues {
		if f := l.queues[i].first; f != nil && (l.wake.IsZero() || f.until.Before(l.wake)) {
			l.wake = f.until
		}
	}
	p.wakeAt(l.wake) // under the lock: push sets it, too
}

// arrived is called by the poller: there are bytes, or an end, on the file descriptor.
func (l *lot) arrived(fd int32, turn uint32) {
	l.mu.Lock()
	var p *peer
	if int(fd) < len(l.byFD) {
		p = l.byFD[fd]
	}
	if p == nil || p.turn != turn {
		l.mu.Unlock()
		return // its time was over just before
	}
	l.pull(p)
	l.mu.Unlock()
	go p.run()
}

// expire ends the connections whose time is over.
func (l *lot) expire(now time.Time) {
	for {
		p := l.overdue(now)
		if p == nil {
			return
		}
		if _, tcp := p.nc.(*net.TCPConn); tcp {
			p.end()
		} else {
			go p.end() // TLS says goodbye, and may wait for the client to take it
		}
	}
}

func (l *lot) overdue(now time.Time) *peer {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.queues {
		if p := l.queues[i].first; p != nil && !p.until.After(now) {
			l.pull(p)
			return p
		}
	}
	return nil
}

// goQuiet has the connections of a listener, or all, leave when nothing has come from them within that time.
func (l *lot) goQuiet(f *feed, d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []*peer
	for i := range l.queues {
		for p := l.queues[i].first; p != nil; p = p.next {
			if f == nil || p.feed == f {
				all = append(all, p)
			}
		}
	}
	until := time.Now().Add(d)
	for _, p := range all {
		l.pull(p)
		l.push(p, leaving, until)
	}
}

// remove takes p out for good, if it is there. It reports whether it was: p then belongs to the caller.
func (l *lot) remove(p *peer) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	p.cut = true
	if !p.standing {
		return false
	}
	l.pull(p)
	return true
}

func (l *lot) push(p *peer, row queueID, until time.Time) {
	for int(p.fd) >= len(l.byFD) {
		l.byFD = append(l.byFD, nil)
	}
	l.byFD[p.fd] = p
	q := &l.queues[row]
	p.row, p.standing, p.until = row, true, until
	p.prev, p.next = q.last, nil
	for p.prev != nil && p.prev.until.After(until) { // times were lowered since
		p.prev, p.next = p.prev.prev, p.prev
	}
	if p.prev != nil {
		p.prev.next = p
	} else {
		q.first = p
	}
	if p.next != nil {
		p.next.prev = p
	} else {
		q.last = p
	}
	if l.wake.IsZero() || until.Before(l.wake) {
		l.wake = until
		l.poller.wakeAt(until)
	}
}

func (l *lot) pull(p *peer) {
	l.byFD[p.fd] = nil
	q := &l.queues[p.row]
	if p.prev != nil {
		p.prev.next = p.next
	} else {
		q.first = p.next
	}
	if p.next != nil {
		p.next.prev = p.prev
	} else {
		q.last = p.prev
	}
	p.standing, p.prev, p.next = false, nil, nil
}
