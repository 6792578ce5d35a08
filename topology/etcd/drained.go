// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"maps"
	"slices"
	"time"

	"meridian/topology"
)

// drainWait decides when a drain is done. Pure: time is an argument.
type drainWait struct {
	node  topology.NodeID
	since topology.Revision
	began time.Time
	seen  map[topology.EdgeID]time.Time // when an edge last had a lease
	acks  map[topology.EdgeID]topology.Ack
}

// step takes in what stands in etcd now.
func (w *drainWait) step(live []topology.EdgeID, acks map[topology.EdgeID][]topology.Ack, now time.Time) (p DrainProgress, done bool) {
	for _, e := range live {
		w.seen[e] = now
		delete(w.acks, e) // an edge that has started anew must say it again
		for _, a := range acks[e] {
			if a.Node == w.node && a.Revision >= w.since {
				w.acks[e] = a
			}
		}
	}
	for _, e := range slices.Sorted(maps.Keys(w.seen)) {
		if now.Sub(w.seen[e]) > edgeSettles {
			continue
		}
		ep := EdgeProgress{Edge: e, Live: w.seen[e].Equal(now)}
		if a, ok := w.acks[e]; ok {
			ep.Ack = &a
			p.InFlight += a.InFlight
			p.Streams += a.Streams
			p.Sessions += a.Sessions
			p.Cut += a.Cut
		}
		if !ep.Done() {
			p.Waiting++
		}
		p.Edges = append(p.Edges, ep)
	}
	nobody := len(p.Edges) == 0 && now.Sub(w.began) < edgeSettles
	return p, p.Waiting == 0 && !nobody
}
