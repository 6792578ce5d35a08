// SPDX-License-Identifier: Apache-2.0

// Package drain acknowledges drains: for each node that an operator drains, or that is Leaving, it says what this edge
// still has there, and at a drain's deadline it cuts that.
//
// Keeping new requests away is balancer.Table.Apply's, and done before anything is acknowledged. Publishing under the edge's
// lease is topology/etcd's. Keeper.Run is the one goroutine, the caller's own.
//
//	k := drain.New(drain.Config{Table: table, Sessions: sessions, Publish: acks.Set, Cut: server.CutNode})
//	go k.Run(ctx)
//	… table.Apply(snapshot, order); k.Kick()
package drain

import (
	"context"
	"slices"
	"time"

	"meridian/balancer"
	"meridian/mcp"
	"meridian/topology"
)

// Interval is how often the counts are looked at while there is a drain. Ours: an operator who waits does not notice it.
const Interval = 50 * time.Millisecond

// Config is what a Keeper needs. All but Now must be set.
type Config struct {
	Table    *balancer.Table
	Sessions *mcp.Sessions
	// Publish is given all acknowledgements, sorted by node, whenever one has changed, from Run's goroutine. It must not
	// keep waiting: the deadline of a drain is enforced by the same goroutine.
	Publish func([]topology.Ack)
	// Cut aborts every request and stream that is out at a node.
	Cut func(topology.NodeID) int
	// Now is the clock by which deadlines pass. Nil: time.Now.
	Now func() time.Time
}

// Keeper watches the nodes that are on their way out.
type Keeper struct {
	cfg  Config
	kick chan struct{}

	// The fields below belong to Run's goroutine.
	drains map[topology.NodeID]*deadline
	last   []topology.Ack
}

// deadline is what is known of a drain's end.
type deadline struct {
	created, at time.Time // which drain of the node it is
	cut         int       // requests and streams that were cut
	done        bool
}

// New returns a keeper that has started nothing.
func New(c Config) *Keeper {
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Keeper{cfg: c, kick: make(chan struct{}, 1), drains: map[topology.NodeID]*deadline{}}
}

// Kick has Run look at once, as after a change of the topology. It never waits. Safe for concurrent use.
func (k *Keeper) Kick() {
	select {
	case k.kick <- struct{}{}:
	default: // a look is due already
	}
}

// Run looks and publishes until ctx ends, and returns its error.
func (k *Keeper) Run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-k.kick:
		case <-timer.C:
		}
		if k.look() {
			timer.Reset(Interval)
		} else {
			timer.Stop() // without a drain there is nothing to see until the next Kick
		}
	}
}

// look counts, cuts what is due, publishes what has changed and reports whether there is a drain.
func (k *Keeper) look() bool {
	draining := k.cfg.Table.Draining()
	acks := make([]topology.Ack, 0, len(draining))
	seen := make(map[topology.NodeID]*deadline, len(draining))
	for _, d := range draining {
		state := k.deadlineOf(d)
		seen[d.Node] = state
		acks = append(acks, k.ack(d, state))
	}
	k.drains = seen
	if !slices.Equal(acks, k.last) {
		k.last = acks
		k.cfg.Publish(slices.Clone(acks))
	}
	return len(draining) > 0
}

// deadlineOf returns what is known of the node's drain: nothing, if it is another one than before.
func (k *Keeper) deadlineOf(d balancer.Drained) *deadline {
	var created, at time.Time
	if d.Drain != nil {
		created, at = d.Drain.Created, d.Drain.Deadline
	}
	if old := k.drains[d.Node]; old != nil && old.created.Equal(created) && old.at.Equal(at) {
		return old
	}
	return &deadline{created: created, at: at}
}

// ack cuts what is due and counts what is left.
func (k *Keeper) ack(d balancer.Drained, state *deadline) topology.Ack {
	load := d.Load
	if !state.at.IsZero() && !k.cfg.Now().Before(state.at) {
		inFlight, streams := k.cfg.Table.Cut(d.Node)
		state.cut += inFlight + streams
		state.done = true
		// Again at each look: a lease that was taken before the cut may have come to a connection after it.
		if load = k.cfg.Table.Load(d.Node); load.InFlight+load.Streams > 0 {
			k.cfg.Cut(d.Node)
			load = k.cfg.Table.Load(d.Node)
		}
		k.cfg.Sessions.DropNode(d.Node)
	}
	return topology.Ack{
		Node: d.Node, Revision: d.Revision, InFlight: load.InFlight, Streams: load.Streams,
		Sessions: k.cfg.Sessions.Count(d.Node), Cut: state.cut, Done: state.done,
	}
}
