// SPDX-License-Identifier: Apache-2.0

package dns

import (
	"sync"
	"sync/atomic"

	"meridian/topology"
)

// model is what one query works on: a snapshot and its zones. Immutable.
type model struct {
	snapshot *topology.Snapshot
	zones    *zones
}

// serial returns the SOA serial of every zone: the topology's revision (RFC 1982 arithmetic, so modulo 2^32).
func (m *model) serial() uint32 { return uint32(m.snapshot.Revision) }

// models keeps the model of the current snapshot. Safe for concurrent use.
type models struct {
	// Set once, never changed.
	snapshot func() *topology.Snapshot
	stats    *stats

	current  atomic.Pointer[model]
	building sync.Mutex // held by the one goroutine that compiles
}

// load returns the model of the current snapshot, nil before the first. Where a new snapshot has come, the query that sees
// it first compiles it; the others go on with the model before and don't wait, but for the very first one.
func (ms *models) load() *model {
	s, m := ms.snapshot(), ms.current.Load()
	switch {
	case m != nil && (m.snapshot == s || s == nil): // a snapshot that is gone is no reason to deny every name
		return m
	case s == nil:
		return nil
	case m == nil:
		ms.building.Lock()
	case !ms.building.TryLock():
		return m
	}
	defer ms.building.Unlock()
	return ms.renew()
}

// renew compiles the current snapshot unless another goroutine has just done so. The caller holds building.
func (ms *models) renew() *model {
	s, old := ms.snapshot(), ms.current.Load()
	if s == nil || (old != nil && old.snapshot == s) {
		return old
	}
	next := &model{snapshot: s}
	if old != nil && old.zones.inputs.equal(inputsOf(s)) {
		next.zones = old.zones
	} else {
		next.zones = compile(s)
	}
	ms.current.Store(next)
	if old != nil && old.zones != next.zones {
		ms.stats.forget(old.zones, next.zones)
	}
	return next
}
