// SPDX-License-Identifier: Apache-2.0

package balancer

import (
	"errors"
	"time"

	"meridian/topology"
)

// What Bind returns.
var (
	ErrGone = errors.New("the node is not in the topology")
	ErrDown = errors.New("the node is down")
	ErrCut  = errors.New("the node's drain has reached its deadline")
	ErrFull = errors.New("the node is at its capacity")
)

// Lease is one request's place on a node, counted in flight from the pick until Done. Owned by one goroutine at a time.
// It is a value so that a pick doesn't allocate; copy it only to hand it on. The zero value is a lease on nothing.
type Lease struct {
	entry    *entry
	cut      *cutSignal
	route    *Route
	began    int64   // Unix nanoseconds
	seen     int64   // when it was answered, Unix nanoseconds; 0: not
	slot     uint16  // of state.ages
	ticket   uint16  // of state.probe
	queue    float32 // entry.explained at the pick
	by       pickedBy
	stream   bool
	answered bool
}

// Node returns the node as the snapshot of the pick had it, or nil for the zero lease and after Done.
func (l *Lease) Node() *topology.Node {
	if l.entry == nil {
		return nil
	}
	return l.entry.node
}

// Began returns when the lease was taken, in Unix time; the epoch for the zero lease.
func (l *Lease) Began() time.Time { return time.Unix(0, l.began) }

// Stream counts the lease as an open stream from now on, no longer as a request in flight. A second call does nothing.
func (l *Lease) Stream() {
	if l.entry == nil || l.stream {
		return
	}
	l.stream = true
	l.entry.state.counts.Add(oneStream - oneInFlight) // one step, so that no reader sees neither
}

// Cut returns a channel that is closed when the node's drain reaches its deadline: end the request then. Nil, which
// never is ready, for the zero lease.
func (l *Lease) Cut() <-chan struct{} {
	if l.cut == nil {
		return nil
	}
	return l.cut.ch
}

// Done gives the place back. A lease that was not Answered counts as one whose client has left. A second call does nothing.
func (l *Lease) Done(now time.Time) {
	if l.entry == nil {
		return
	}
	l.Answered(now, Outcome{Kind: ClientGone})
	one := oneInFlight
	if l.stream {
		one = oneStream
	}
	l.entry.state.counts.Add(-one)
	if l.entry.out != nil {
		l.entry.out.Add(-1)
	}
	l.entry = nil
}

// acquire counts a request in flight on the node and returns its lease. allowed are the flags that don't refuse it; with the demand
// demandSoft it is held below the pool's utilization and a node in slow start to one request until that is answered, and before demandLeast a
// node that is half-open to one request.
//
// The count is raised before flags and cut are read, and lowered again if they refuse. Apply raises the flag before
// anybody reads the count for an acknowledgement. All are sequentially consistent, so either this sees the flag and no
// lease is handed out, or the reader sees the count: an acknowledged zero can't be followed by a lease of an older pick.
func (e *entry) acquire(now int64, route *Route, allowed uint32, at demand) (Lease, error) {
	st := e.state
	count := uint64(uint32(st.counts.Add(oneInFlight)))
	c := st.cut.Load()
	var err error
	switch flags := st.flags.Load() &^ allowed; {
	case flags&flagGone != 0:
		err = ErrGone
	case flags != 0 || c.done.Load():
		err = ErrCut
	case st.isFull(count, at == demandSoft):
		err = ErrFull
	case !rateOf(st.interval.Load()).take(&st.arrival, now):
		err = ErrFull
	}
	ticket, ok := st.probe.pass(), true
	if err == nil && at < demandLeast {
		ticket, ok = st.probe.take() // last: what takes the one place has everything else
	}
	if !ok {
		err = ErrFull
	}
	if err != nil {
		st.counts.Add(^oneInFlight + 1)
		return Lease{}, err
	}
	if e.out != nil {
		e.out.Add(1)
	}
	st.picks.Add(1)
	if route == nil {
		route = e.group.pool.route
	}
	return Lease{
		entry: e, cut: c, route: route, began: now, ticket: ticket, slot: st.ages.begin(ageClass(route.median()), now),
		queue: float32(e.explained(count - 1)),
	}, nil
}

// isFull reports whether the node has no room for count requests in flight.
func (st *state) isFull(count uint64, soft bool) bool {
	hard, below := st.bounds()
	if hard != 0 && (count > hard || soft && count > below) {
		return true
	}
	return soft && (st.busy.Load() || count > 1 && st.fresh.Load())
}

// open reports whether acquire would let a request in, without counting it.
func (e *entry) open(now int64, at demand) bool {
	st := e.state
	if st.flags.Load()&^flagReserve != 0 || st.cut.Load().done.Load() || st.isFull(uint64(uint32(st.counts.Load()))+1, at == demandSoft) ||
		at < demandLeast && !st.probe.admits() {
		return false
	}
	interval := st.interval.Load()
	return interval == 0 || rateOf(interval).open(&st.arrival, now)
}

// Bind returns to the node of a session. A draining node is allowed until it is cut. The error is ErrGone, ErrDown,
// ErrCut or ErrFull (Capacity of the node; the session is not lost by it).
func (t *Table) Bind(id topology.NodeID, now time.Time) (Lease, error) {
	e := t.view.Load().nodes[id]
	if e == nil {
		return Lease{}, ErrGone
	}
	if Standing(e.state.standing.Load()) == StandingDown {
		return Lease{}, ErrDown
	}
	l, err := e.acquire(now.UnixNano(), nil, flagDraining|flagReserve, demandLeast) // a session has no other node to go to
	l.by = bySession
	return l, err
}
