// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"sync"
	"time"

	"meridian/topology"
)

// seen is the topology as the worker sees it, and who waits for a change of it.
type seen struct {
	store topology.Store

	mu      sync.Mutex    // guards changed
	changed chan struct{} // closed and replaced at every change
}

func newSeen() *seen { return &seen{changed: make(chan struct{})} }

func (s *seen) publish(next *topology.Snapshot) {
	s.store.Swap(next)
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.changed)
	s.changed = make(chan struct{})
}

// until returns when the snapshot is as wanted, or ctx is done.
func (s *seen) until(ctx context.Context, wanted func(*topology.Snapshot) bool) {
	for {
		s.mu.Lock()
		changed := s.changed
		s.mu.Unlock()
		if wanted(s.store.Load()) {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// first returns when there is a snapshot, or after most.
func (s *seen) first(ctx context.Context, most time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	s.until(ctx, func(n *topology.Snapshot) bool { return n != nil })
}
