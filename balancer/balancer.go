// SPDX-License-Identifier: Apache-2.0

// Package balancer picks the node for a request and counts what is out on each node.
//
// A Table holds what is learned of nodes, keyed by topology.NodeID: requests in flight, open streams, standing, drain and
// cut. It survives every change of the topology. Table.Pick takes a node of the nearest region that has one, by the pool's
// policy; Table.Bind returns to the node of a session. Both hand out a Lease, which is counted until Done.
//
// It does no I/O, has no clock and no randomness (both are arguments) and starts no goroutine. Whether a node is healthy
// is health's to say (SetStanding), in which order regions are tried is geo's (Apply), what a session is is mcp's.
//
//	t := balancer.NewTable()
//	t.Apply(snapshot, order)
//	lease, err := t.Pick(balancer.Request{Pool: "mcp", Now: now, Rand: rand})
//	if err != nil { … } // *NoNodeError: 503
//	… // to the node, and when its answer begins:
//	lease.Answered(now, balancer.Outcome{Kind: balancer.OK})
//	… // and when it has ended:
//	lease.Done(now)
//
// Tick, called every 100 ms, works out what picks go by.
package balancer

import (
	"sync"
	"sync/atomic"
	"time"

	"meridian/topology"
)

// Table is the learned state of the nodes. Its zero value is not usable; see NewTable. Safe for concurrent use: Pick,
// Bind, Up, Load of a node that is in the topology and everything on a Lease take no lock, the rest takes one.
type Table struct {
	mu     sync.Mutex // guards states, tiers and every change of view
	states map[topology.NodeID]*state
	tiers  map[tierKey]*tier
	view   atomic.Pointer[view]

	// Guarded by mu.

	zone     string
	started  bool  // there has been a topology with nodes
	now      int64 // of the last tick, Unix nanoseconds
	stood    bool  // no tick came for so long before the last that this process must have stood still
	edges    edges // the others
	scratch  scratch
	measured map[place]*damped
	settled  int64 // when availability was last worked out
	stalled  []topology.NodeID

	availability atomic.Pointer[[]Availability]
}

// NewTable returns a table without nodes: every Pick fails until the first Apply.
func NewTable() *Table {
	t := &Table{states: map[topology.NodeID]*state{}, tiers: map[tierKey]*tier{}}
	t.view.Store(t.compileLocked(nil, nil))
	return t
}

// Apply takes a new topology into use. order says in which order a pick tries the regions, the own one first; regions
// that it leaves out come last, by name. A node keeps its counts and its standing by its name, also while it is not in the
// topology, as long as leases on it are out; otherwise a node that is gone is forgotten.
//
// After Apply returns, Pick hands out no lease on a node that s drains, that is Leaving or that s doesn't have: see
// state.acquire. One that only the drain of its region covers is still taken where no other node of its pool can be. A drain that is
// gone, or has another Created or Deadline, ends the cut of its nodes.
//
// The tables of the policies maglev, ring and weighted_round_robin are not made here. If one is out of date, Apply returns what
// makes it anew: call that in the background, where it may take a second. Until then picks go by the old table and pass over who
// is gone, or, where there is none yet, go by the number of nodes. It is nil where there is nothing to do.
func (t *Table) Apply(s *topology.Snapshot, order []topology.RegionID) (build func()) {
	if s == nil {
		s = &topology.Snapshot{}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, n := range s.Nodes {
		t.stateLocked(n.Name)
	}
	for id, st := range t.states {
		n := s.Node(id)
		if n != nil && t.started && st.flags.Load()&flagGone != 0 {
			st.beginSlowStart()
		}
		if n != nil {
			st.last = n
		}
		st.apply(n, s.DrainOver(id, st.last), s.IsReserve(id))
		st.own.take(n, t.now)
		if n == nil && st.counts.Load() == 0 {
			delete(t.states, id) // it is marked gone, so that nobody takes a lease on it any more
		}
	}
	t.started = t.started || len(s.Nodes) > 0
	v := t.compileLocked(s, order)
	v.drains = t.drainsLocked(s)
	t.view.Store(v)
	if v.staleLocked() == nil {
		return nil
	}
	return t.build
}

// stateLocked returns the state of a node and makes one that is gone where there is none.
func (t *Table) stateLocked(id topology.NodeID) *state {
	st := t.states[id]
	if st == nil {
		st = newState()
		t.states[id] = st
	}
	return st
}

// SetStanding says how a node stands with health. It may come before the Apply that brings the node. One that comes back up begins
// half-open (see halfOpen), with slow start, and with what was learned of its speed forgotten. It copies the list of nodes that Pick draws from: 8 bytes for
// each node that the node's pool has in its region.
func (t *Table) SetStanding(id topology.NodeID, standing Standing) {
	t.mu.Lock()
	defer t.mu.Unlock()
	st := t.stateLocked(id)
	old := Standing(st.standing.Swap(uint32(standing)))
	if old == standing {
		return
	}
	if standing != StandingUp {
		st.probe.word.Store(0)
	}
	e := t.view.Load().nodes[id]
	if e == nil {
		return
	}
	if standing == StandingUp && old != StandingUnknown { // it is back: what it was like before says little
		st.speed.reset()
		st.beginSlowStart()
		st.beginProbe(t.now)
		e.shareOutLocked(t.now)
	}
	e.group.move(e)
	e.group.pool.settle()
}

// SetZone says in which zone of the first region of Apply's order the edge is: its nodes are a tier of their own, before the rest of the
// region. To be called before the first Apply. Empty, as at first: none.
func (t *Table) SetZone(zone string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.zone = zone
}

// Cut ends the grace of a node that is draining: from now on Bind gives ErrCut, and the channel that Lease.Cut returns is
// closed. It returns what was out at that moment. A node that is not draining is left alone (its drain has just been
// undone), one that is cut already stays so; both return zeros.
func (t *Table) Cut(id topology.NodeID) (inFlight, streams int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	st := t.states[id]
	if st == nil || st.flags.Load()&(flagDraining|flagReserve) == 0 {
		return 0, 0
	}
	c := st.cut.Load()
	if c.done.Swap(true) {
		return 0, 0
	}
	inFlight, streams = st.out()
	close(c.ch)
	return inFlight, streams
}

// Load is what is out on a node from this edge, and how the node stands.
type Load struct {
	InFlight int      `json:"in_flight"` // picked and not yet done, streams left out
	Streams  int      `json:"streams"`   // open streams
	Draining bool     `json:"draining,omitempty"`
	Cut      bool     `json:"cut,omitempty"`
	Standing Standing `json:"standing"`
}

// Load returns the load of a node. It is zero for one that is not known. InFlight and Streams are read as one.
func (t *Table) Load(id topology.NodeID) Load {
	if e := t.view.Load().nodes[id]; e != nil {
		return e.state.load()
	}
	t.mu.Lock() // a node that left the topology with leases out: rare, and never on a request's way
	defer t.mu.Unlock()
	if st := t.states[id]; st != nil {
		return st.load()
	}
	return Load{}
}

// Occupied reports whether anything is out on a node.
func (t *Table) Occupied(id topology.NodeID) bool {
	l := t.Load(id)
	return l.InFlight+l.Streams > 0
}

// Up returns how many nodes of a pool in a region could be picked (standing up or not yet checked, not draining but by their region's
// drain, not cut) and how many there are. Capacity is not looked at.
func (t *Table) Up(p topology.PoolID, r topology.RegionID) (up, total int) {
	for _, g := range t.view.Load().groupsOf(p) {
		if g.key.region == r {
			ready := g.ready.Load()
			up += len(ready.by[classUp].nodes) + len(ready.by[classOverflow].nodes) + len(ready.by[classUnknown].nodes) + len(ready.by[classReserve].nodes)
			total += len(g.all)
		}
	}
	return up, total
}

// Request is what a node is wanted for.
type Request struct {
	Pool topology.PoolID
	// Route is what is learned of the request's route (Table.Route), or nil.
	Route *Route
	// Tried are the nodes that are not wanted, as those that the request has already failed on.
	Tried []topology.NodeID
	// Now is the time of the pick, by which Capacity.RPS is counted and from which on the answer's first byte is waited for.
	Now time.Time
	// Rand is 64 random bits. All draws of the pick come from it.
	Rand uint64
	// Key is what the policies maglev and ring go by, if HasKey: hash.String of what the pool's Hash names. Without it they go by
	// least_request.
	Key    uint64
	HasKey bool
}
