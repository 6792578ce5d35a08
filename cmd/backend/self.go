// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"sync"
	"time"

	"meridian/topology"
)

// reportEvery is how often the load is looked at. Ours; the registrar writes no more often either.
const reportEvery = time.Second

// leastChange is what a figure must change by to be published: 5 % of itself, or of all processors. Ours.
const leastChange = 0.05

// self is the node as the worker publishes it.
type self struct {
	mu   sync.Mutex // guards node's Leaving and Load
	node topology.Node
}

// value encodes the node for etcd.
func (s *self) value() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return topology.Encode(&s.node)
}

func (s *self) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.node.Leaving = true
}

// report notes a load and says whether it is worth publishing.
func (s *self) report(l topology.Load) (changed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.node.Load != nil && !worthTelling(*s.node.Load, l) {
		return false
	}
	s.node.Load = &l
	return true
}

// reportLoad notes the load every second until ctx is done, and calls touch when it is worth publishing.
func (s *self) reportLoad(ctx context.Context, load func() topology.Load, touch func()) {
	t := time.NewTicker(reportEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			if s.report(load()) {
				touch()
			}
		}
	}
}

// worthTelling reports whether a load differs enough from the one that was published: a count by 5 % or from or to zero, the
// processor share by 0.05.
func worthTelling(old, now topology.Load) bool {
	count := func(a, b int) bool {
		d := max(a, b) - min(a, b)
		return d > 0 && (min(a, b) == 0 || float64(d) >= leastChange*float64(max(a, b)))
	}
	return count(old.InFlight, now.InFlight) || count(old.Connections, now.Connections) || count(old.Sessions, now.Sessions) ||
		max(old.CPU, now.CPU)-min(old.CPU, now.CPU) >= leastChange
}
