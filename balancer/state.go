// SPDX-License-Identifier: Apache-2.0

package balancer

import (
	"sync/atomic"

	"meridian/topology"
)

// Standing is how a node stands with health.
type Standing uint8

// The standings.
const (
	StandingUnknown Standing = iota // not yet checked: picked only where no node that is up can be
	StandingUp
	StandingDown
	// StandingEjected is for a node that requests have failed on too often: a ban. It is picked only where fewer than half of a tier
	// are up.
	StandingEjected
	// StandingRefused is for a node that has just refused a connection: it is picked only where no other can be, and counts neither
	// as up nor as down in what makes a tier's panic.
	StandingRefused
)

// String returns "unknown", "up", "down", "ejected" or "refused".
func (s Standing) String() string {
	switch s {
	case StandingUp:
		return "up"
	case StandingDown:
		return "down"
	case StandingEjected:
		return "ejected"
	case StandingRefused:
		return "refused"
	}
	return "unknown"
}

// MarshalText implements encoding.TextMarshaler.
func (s Standing) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler. A word that it doesn't know, of a newer edge, is StandingUnknown.
func (s *Standing) UnmarshalText(b []byte) error {
	*s = StandingUnknown
	for _, known := range []Standing{StandingUp, StandingDown, StandingEjected, StandingRefused} {
		if known.String() == string(b) {
			*s = known
		}
	}
	return nil
}

// The flags of a state.
const (
	flagDraining uint32 = 1 << iota // drained by an operator, or Leaving
	flagGone                        // not in the topology
	flagReserve                     // drained by its region's drain only: picked where no other region's node can be
)

// state is what is learned of one node. One pointer per node for as long as it is known, whatever the snapshot.
type state struct {
	// What picks read, and what they write, first.

	counts   atomic.Uint64             // low half: in flight; high half: streams. One word, so that both are read as one
	arrival  atomic.Int64              // GCRA's theoretical arrival time, Unix nanoseconds
	cut      atomic.Pointer[cutSignal] // never nil
	flags    atomic.Uint32             // flagDraining, flagGone, flagReserve
	standing atomic.Uint32             // a Standing

	limits   atomic.Uint64 // requests in flight: low half at most, high half below the pool's utilization; 0: no bound
	interval atomic.Int64  // nanoseconds between two requests at the full rate; 0: no bound
	busy     atomic.Bool   // above the pool's utilization by its rate
	fresh    atomic.Bool   // in slow start, and nothing is answered yet
	slow     atomic.Bool   // in slow start
	probe    halfOpen      // it is back, and no request has succeeded yet

	share  number // weight over the mean weight of the tier, in slow start a part of it
	score  number // see latency; 1 at first
	excess number // requests' worth of load that is not this edge's

	picks       atomic.Uint32 // all
	picksBefore atomic.Uint32 // what picks was a second ago

	// What answers write.

	speed speed
	ages  ages
	said  said
	adapt atomic.Pointer[adaptive] // nil where the pool's limit is not adaptive

	// Guarded by Table.mu.

	drain *topology.Drain // that is in force, or nil
	last  *topology.Node  // as it was last in the topology, or nil

	tick          int
	picksAt       [picksKept]uint32
	inFlightAt    [3 * picksKept]uint32
	since         int64 // when slow start began, Unix nanoseconds; 0: when it is up
	earned        earned
	probes        uint32 // the last word of probe
	probeSince    int64  // when it was opened, Unix nanoseconds
	others        usage  // what the other edges have out there
	own           own    // what the node says of itself
	rateAt        [2*picksKept + 1]float32
	value, oldest float64 // of the last tick
	lost          bool    // it does nothing at all, or fails
	farLost       bool    // so, and for so long that work goes to another region rather than wait
	stallTold     int64   // when Stalled last named it

	_ [64]byte // two nodes never share a cache line
}

// cutSignal tells the leases of one drain that its deadline has come. A node that is undrained gets a new one.
type cutSignal struct {
	done atomic.Bool
	ch   chan struct{}
}

const (
	oneInFlight uint64 = 1
	oneStream   uint64 = 1 << 32
)

func newState() *state {
	st := &state{}
	st.flags.Store(flagGone)
	st.share.store(1)
	st.rate(1)
	st.cut.Store(&cutSignal{ch: make(chan struct{})})
	return st
}

// apply takes over what a snapshot says of the node; n is nil where it has none. The caller holds Table.mu.
func (st *state) apply(n *topology.Node, d *topology.Drain, reserve bool) {
	var flags uint32
	if n == nil {
		flags |= flagGone
		st.standing.Store(uint32(StandingUnknown)) // whoever comes back under the name is to be checked first
		st.probe.word.Store(0)
	}
	switch {
	case n != nil && n.Leaving, d != nil && !reserve:
		flags |= flagDraining
	case d != nil:
		flags |= flagReserve
	}
	if flags&(flagDraining|flagReserve) == 0 || !st.drain.Same(d) {
		if st.cut.Load().done.Load() {
			st.cut.Store(&cutSignal{ch: make(chan struct{})})
		}
	}
	st.drain = d
	st.flags.Store(flags)
}

func (st *state) out() (inFlight, streams int) {
	c := st.counts.Load()
	return int(uint32(c)), int(c >> 32)
}

func (st *state) load() Load {
	l := Load{
		Draining: st.flags.Load()&(flagDraining|flagReserve) != 0,
		Cut:      st.cut.Load().done.Load(),
		Standing: Standing(st.standing.Load()),
	}
	// Last: flags before counts is what makes a zero final, see acquire.
	l.InFlight, l.Streams = st.out()
	return l
}
