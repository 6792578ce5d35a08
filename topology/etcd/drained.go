// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"maps"
	"slices"
	"time"

	"meridian/topology"
)

// DrainProgress is how far a drain is.
type DrainProgress struct {
	// Fault is why etcd can't be read at the moment, or nil. The rest is as it was when it last could.
	Fault error
	// Drain is the drain as it stands in etcd.
	Drain *topology.Drain
	Edges []EdgeProgress // by name
	// Waiting is how many of the edges are waited for.
	Waiting int
	// Unknown is how many of those are not heard of: see EdgeProgress.Live.
	Unknown int
	// The sums over the edges that have acknowledged; DNSLeft is the longest, in seconds.
	InFlight, Streams, Sessions, Connections, Cut, DNSLeft int
	// Nodes are those of the drained nodes that say themselves that they still have requests, by name. They are asked once no edge is
	// waited for.
	Nodes []NodeProgress
}

// Complete reports whether nothing at all is left, and nothing was cut: no edge is waited for, but for those that were to be ignored,
// nothing is in flight, and no resolver has an answer that leads there.
func (p DrainProgress) Complete() bool {
	return p.Waiting == 0 && p.InFlight+p.Streams+p.DNSLeft+p.Cut == 0 && len(p.Nodes) == 0
}

// EdgeProgress is one edge's part in a drain.
type EdgeProgress struct {
	Edge topology.EdgeID
	// Live says that the edge has a lease now. One that has none has ended without a goodbye, or can't reach etcd: it may still serve by
	// its last snapshot.
	Live bool
	// Ignored says that the edge is not waited for, as the caller wished.
	Ignored bool
	// Ack is the edge's word on the drain, or nil before it has seen it. Of an edge that is not live it is the last.
	Ack *topology.Ack
}

// Done reports whether the edge has nothing in flight and no stream there, and no resolver an answer of its, or has cut what was left.
func (e EdgeProgress) Done() bool {
	return e.Live && e.Ack != nil && (e.Ack.Quiet() && e.Ack.DNSLeft == 0 || e.Ack.Done)
}

// NodeProgress is a node that reports a load under its lease.
type NodeProgress struct {
	Node     topology.NodeID
	InFlight int
}

// acked is what stands in etcd of edges.
type acked struct {
	live []topology.EdgeID
	seen []topology.EdgeID // that have left a mark
	acks map[topology.EdgeID][]topology.Ack
}

// drainWait decides when a drain is done. Pure: time is an argument.
type drainWait struct {
	ignore map[topology.EdgeID]bool
	began  time.Time

	lived  map[topology.EdgeID]time.Time    // when an edge last had a lease
	marked map[topology.EdgeID]bool         // that had a mark at some time
	last   map[topology.EdgeID]topology.Ack // an edge's last word
}

func newDrainWait(ignore []topology.EdgeID, now time.Time) *drainWait {
	w := &drainWait{
		ignore: map[topology.EdgeID]bool{}, began: now,
		lived: map[topology.EdgeID]time.Time{}, marked: map[topology.EdgeID]bool{}, last: map[topology.EdgeID]topology.Ack{},
	}
	for _, e := range ignore {
		w.ignore[e] = true
	}
	return w
}

// step takes in what stands in etcd now. done says that there is nobody to wait for any more: the rest is to be read from p.
func (w *drainWait) step(d *topology.Drain, since topology.Revision, in acked, now time.Time) (p DrainProgress, done bool) {
	p.Drain = d
	for _, e := range in.live {
		w.lived[e] = now
		delete(w.last, e) // an edge that has started anew must say it again
		for _, a := range in.acks[e] {
			if a.IsFor(d, since) {
				w.last[e] = a
			}
		}
	}
	seen := map[topology.EdgeID]bool{}
	for _, e := range in.seen {
		seen[e], w.marked[e] = true, true
	}
	for _, e := range w.edges(seen, now) {
		p.add(w.look(e, now))
	}
	nobody := len(p.Edges) == 0 && now.Sub(w.began) < unseenAfter
	missed := w.isOver(d, now) && p.Waiting == p.Unknown
	late := w.isOver(d, now.Add(-cutMargin))
	return p, late || missed && !nobody || p.Waiting == 0 && !nobody
}

// cutMargin is how long after the deadline the edges may take to cut what is left and say so. Ours.
const cutMargin = 10 * time.Second

// isOver reports whether the drain's deadline is past.
func (w *drainWait) isOver(d *topology.Drain, now time.Time) bool {
	return !d.Deadline.IsZero() && !now.Before(d.Deadline)
}

// edges lists those that count, by name: those with a lease, those with a mark, and for a while those that had a lease and never a mark.
func (w *drainWait) edges(seen map[topology.EdgeID]bool, now time.Time) []topology.EdgeID {
	all := maps.Clone(seen)
	for e, at := range w.lived {
		if now.Equal(at) || !w.marked[e] && now.Sub(at) <= unseenAfter {
			all[e] = true
		}
	}
	return slices.Sorted(maps.Keys(all))
}

func (w *drainWait) look(e topology.EdgeID, now time.Time) EdgeProgress {
	ep := EdgeProgress{Edge: e, Live: w.lived[e].Equal(now), Ignored: w.ignore[e]}
	if a, ok := w.last[e]; ok {
		ep.Ack = &a
	}
	return ep
}

func (p *DrainProgress) add(e EdgeProgress) {
	p.Edges = append(p.Edges, e)
	if !e.Ignored && !e.Done() {
		p.Waiting++
		if !e.Live {
			p.Unknown++
		}
	}
	if e.Ack == nil || e.Ignored {
		return
	}
	p.InFlight += e.Ack.InFlight
	p.Streams += e.Ack.Streams
	p.Sessions += e.Ack.Sessions
	p.Connections += e.Ack.Connections
	p.Cut += e.Ack.Cut
	p.DNSLeft = max(p.DNSLeft, e.Ack.DNSLeft)
}
