// SPDX-License-Identifier: Apache-2.0

// Package turns gives out a few places to work to many who want one, in turns by client address: whoever comes for an address
// that has many waiting waits behind one of each other address at most, not behind those many. It is for TLS handshakes, which
// block on the processors and on nothing else: unbounded, a thousand of them a second leave nobody else one.
//
// Addresses count as in package census. It starts nothing. Its memory is one entry for each who waits, whom the bounds on
// connections bound.
//
//	places := turns.New(4)
//	if !places.Enter(client, time.Now().Add(10*time.Second)) { … } // its turn did not come in time
//	defer places.Leave()
package turns

import (
	"container/list"
	"net/netip"
	"sync"
	"time"

	"meridian/proxy/census"
)

// Turns gives out places. Its methods are safe for concurrent use.
type Turns struct {
	mu    sync.Mutex // guards the fields below
	free  int
	lines map[netip.Addr]*line // of the addresses for which somebody waits
	round list.List            // the same, of *line; the first has the next turn
}

// line is who waits for one address: the first longest.
type line struct {
	client  netip.Addr
	waiting list.List // of chan struct{}
	place   *list.Element
}

// New returns n places, at least 1, all free.
func New(n int) *Turns { return &Turns{free: max(n, 1), lines: map[netip.Addr]*line{}} }

// Enter waits for a place until deadline (zero: as long as it takes), and reports whether it has one. After true, Leave must
// be called once.
func (t *Turns) Enter(client netip.Addr, deadline time.Time) bool {
	t.mu.Lock()
	if t.free > 0 { // then nobody waits
		t.free--
		t.mu.Unlock()
		return true
	}
	l := t.lineOf(census.Subscriber(client))
	granted := make(chan struct{})
	e := l.waiting.PushBack(granted)
	t.mu.Unlock()

	var over <-chan time.Time
	if !deadline.IsZero() {
		timer := time.NewTimer(time.Until(deadline))
		defer timer.Stop()
		over = timer.C
	}
	select {
	case <-granted:
		return true
	case <-over:
		return !t.giveUp(l, e, granted)
	}
}

// Leave gives a place back: to who has the next turn, if anybody waits.
func (t *Turns) Leave() {
	t.mu.Lock()
	defer t.mu.Unlock()
	first := t.round.Front()
	if first == nil {
		t.free++
		return
	}
	l := first.Value.(*line)
	close(l.waiting.Remove(l.waiting.Front()).(chan struct{}))
	t.round.MoveToBack(first)
	t.tidy(l)
}

// Waiting returns how many wait for a place.
func (t *Turns) Waiting() (n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, l := range t.lines {
		n += l.waiting.Len()
	}
	return n
}

// giveUp takes who waits out of the line. It reports false where the place was granted just now.
func (t *Turns) giveUp(l *line, e *list.Element, granted <-chan struct{}) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	select {
	case <-granted:
		return false
	default:
	}
	l.waiting.Remove(e)
	t.tidy(l)
	return true
}

// lineOf returns an address's line, which has a turn from now on.
func (t *Turns) lineOf(client netip.Addr) *line {
	l := t.lines[client]
	if l == nil {
		l = &line{client: client}
		l.place = t.round.PushBack(l)
		t.lines[client] = l
	}
	return l
}

// tidy forgets a line in which nobody waits.
func (t *Turns) tidy(l *line) {
	if l.waiting.Len() == 0 {
		t.round.Remove(l.place)
		delete(t.lines, l.client)
	}
}
