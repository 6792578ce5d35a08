// SPDX-License-Identifier: Apache-2.0

// Package drain acknowledges drains: for each drain in the topology, and each node that is Leaving, it says what this edge
// still has there, and at a drain's deadline it cuts that.
//
// Keeping new requests away from nodes is balancer.Table.Apply's, and done before anything is acknowledged; keeping clients away from
// regions and edges is DNS's. Publishing under the edge's lease is topology/etcd's. Keeper.Run is the one goroutine, the caller's own.
//
//	k := drain.New(drain.Config{Table: table, Sessions: sessions, Publish: acks.Set, Cut: server.CutNode, …})
//	go k.Run(ctx)
//	… table.Apply(snapshot, order); k.Kick()
package drain

import (
	"context"
	"math"
	"slices"
	"time"

	"meridian/balancer"
	"meridian/mcp"
	"meridian/topology"
)

// Interval is how often the counts are looked at while there is a drain. Ours: an operator who waits does not notice it.
const Interval = 50 * time.Millisecond

// Config is what a Keeper needs. Table, Sessions, Publish and Cut must be set.
type Config struct {
	Table    *balancer.Table
	Sessions *mcp.Sessions
	// Publish is given all acknowledgements, sorted by drain, whenever one has changed, from Run's goroutine. It must not
	// keep waiting: the deadline of a drain is enforced by the same goroutine.
	Publish func([]topology.Ack)
	// Cut aborts every request and stream that is out at a node, and returns how many.
	Cut func(topology.NodeID) int
	// Self says how this edge itself is drained. The zero value: it never is.
	Self Self
	// Resolvers returns for how long resolvers may still have an answer of this edge's authority that leads to what d drains. Nil: there
	// is no authority.
	Resolvers func(d *topology.Drain) time.Duration
	// Now is the clock by which deadlines pass. Nil: time.Now.
	Now func() time.Time
}

// Self is the edge that a Keeper runs in, for drains of it and of its region. With a Name all of it must be set.
type Self struct {
	Name   topology.EdgeID
	Region topology.RegionID
	// Load returns what the edge has in hand.
	Load func() Load
	// Leave is told true when new requests are to be the last of their connections: resolvers send nobody any more. It is told false
	// when the edge is no longer drained.
	Leave func(bool)
	// CutAll aborts every request and stream, has all connections end, and returns how many requests and streams it cut.
	CutAll func() int
}

// Load is what an edge has in hand of its clients.
type Load struct{ InFlight, Streams, Connections int }

// Keeper watches what is on its way out.
type Keeper struct {
	cfg  Config
	kick chan struct{}

	// The fields below belong to Run's goroutine.
	ends    map[string]*end // by name of the drain
	last    []topology.Ack
	leaving bool
}

// end is what is known of a drain's end.
type end struct {
	drain *topology.Drain // which drain by the name it is
	cut   int             // requests and streams that were cut
	done  bool
}

// New returns a keeper that has started nothing.
func New(c Config) *Keeper {
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Keeper{cfg: c, kick: make(chan struct{}, 1), ends: map[string]*end{}}
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
	ends := make(map[string]*end, len(draining))
	leave := false
	for _, d := range draining {
		if d.Drain == nil {
			acks = append(acks, k.leavingNode(d))
			continue
		}
		e := k.ends[d.Drain.Name]
		if e == nil || !e.drain.Same(d.Drain) {
			e = &end{drain: d.Drain}
		}
		ends[d.Drain.Name] = e
		a := k.ack(d, e)
		leave = leave || k.isOwn(d.Drain) && (a.DNSLeft == 0 || a.Done)
		acks = append(acks, a)
	}
	k.ends = ends
	k.leave(leave)
	if !slices.Equal(acks, k.last) {
		k.last = acks
		k.cfg.Publish(slices.Clone(acks))
	}
	return len(draining) > 0
}

// leave tells the edge once of each change.
func (k *Keeper) leave(on bool) {
	if on != k.leaving {
		k.leaving = on
		k.cfg.Self.Leave(on)
	}
}

// isOwn reports whether d drains this edge, or its region.
func (k *Keeper) isOwn(d *topology.Drain) bool {
	return k.cfg.Self.Name != "" && d.Target().CoversEdge(k.cfg.Self.Name, k.cfg.Self.Region)
}

// leavingNode is the word on a node that is Leaving without being drained.
func (k *Keeper) leavingNode(d balancer.Drained) topology.Ack {
	return topology.Ack{
		Node: d.Nodes[0], Revision: d.Revision, InFlight: d.InFlight, Streams: d.Streams, Sessions: k.cfg.Sessions.Count(d.Nodes[0]),
	}
}

// ack cuts what is due and counts what is left.
func (k *Keeper) ack(d balancer.Drained, e *end) topology.Ack {
	if at := d.Drain.Deadline; !at.IsZero() && !k.cfg.Now().Before(at) {
		d.InFlight, d.Streams = k.cut(d, e)
	}
	target := d.Drain.Target()
	a := topology.Ack{
		Drain: d.Drain.Name, Node: target.Node, Created: d.Drain.Created, Deadline: d.Drain.Deadline, Revision: d.Revision,
		InFlight: d.InFlight, Streams: d.Streams, Cut: e.cut, Done: e.done, DNSLeft: k.dnsLeft(d.Drain),
	}
	for _, id := range d.Nodes {
		a.Sessions += k.cfg.Sessions.Count(id)
	}
	if k.isOwn(d.Drain) { // all that comes to this edge is to go, wherever it goes to
		l := k.cfg.Self.Load()
		a.InFlight, a.Streams, a.Connections = l.InFlight, l.Streams, l.Connections
		a.Sessions = k.cfg.Sessions.Len()
	}
	return a
}

// cut ends what is left at a drain's nodes, and at this edge if that is drained, and returns what is out at the nodes then.
func (k *Keeper) cut(d balancer.Drained, e *end) (inFlight, streams int) {
	first := !e.done
	e.done = true
	if k.isOwn(d.Drain) && first {
		e.cut += k.cfg.Self.CutAll()
	}
	for _, id := range d.Nodes {
		n, s := k.cfg.Table.Cut(id)
		if !k.isOwn(d.Drain) { // else they were counted above
			e.cut += n + s
		}
		// Again at each look: a lease that was taken before the cut may have come to a connection after it.
		l := k.cfg.Table.Load(id)
		if l.InFlight+l.Streams > 0 {
			k.cfg.Cut(id)
			l = k.cfg.Table.Load(id)
		}
		inFlight, streams = inFlight+l.InFlight, streams+l.Streams
		k.cfg.Sessions.DropNode(id)
	}
	return inFlight, streams
}

// dnsLeft is for how many seconds resolvers may send clients to what d drains, rounded up.
func (k *Keeper) dnsLeft(d *topology.Drain) int {
	if s := d.Target().Scope; k.cfg.Resolvers == nil || s != topology.ScopeRegion && s != topology.ScopeEdge {
		return 0
	}
	return int(math.Ceil(max(0, k.cfg.Resolvers(d)).Seconds()))
}
