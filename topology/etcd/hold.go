// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"time"

	"meridian/topology"
)

// heldItem is a live resource whose key is gone but which is still in use.
type heldItem struct {
	item  *item
	until time.Time
	down  time.Time // since when checks have found it dead, zero: they don't
}

// hold keeps what lost its lease without having said goodbye. One owner.
type hold struct {
	length time.Duration
	items  map[string]heldItem // by etcd key
	mass   mass
	isDown func(topology.Resource) bool // nil: nobody knows
}

// add keeps the vanished items that may be alive.
func (h *hold) add(gone map[string]*item, now time.Time) {
	for key, it := range gone {
		if !leaving(it.res) {
			h.items[key] = heldItem{item: it, until: now.Add(h.length)}
		}
	}
}

// leaving reports whether a process said goodbye.
func leaving(r topology.Resource) bool {
	switch r := r.(type) {
	case *topology.Node:
		return r.Leaving
	case *topology.Edge:
		return r.Leaving
	}
	return false
}

// returned forgets the items whose key is back.
func (h *hold) returned(items map[string]*item) {
	for key := range h.items {
		if items[key] != nil {
			delete(h.items, key)
		}
	}
}

// restart gives every held item its full time again: after a loss of contact, nobody could have come back before now.
func (h *hold) restart(now time.Time) {
	for key, it := range h.items {
		it.until = now.Add(h.length)
		h.items[key] = it
	}
}

// expire drops the items whose time is over, but those of a mass disappearance only once checks have found them dead for as long. It
// is called when etcd has just answered, so that nothing is dropped while it is away, however short its absence is or however late it
// is noticed.
func (h *hold) expire(now time.Time) (changed bool) {
	for key, it := range h.items {
		if now.Before(it.until) || h.mass.has(it.item.res) && !h.deadFor(key, it, now) {
			continue
		}
		delete(h.items, key)
		changed = true
	}
	return changed
}

// deadFor reports whether checks have found a held item dead for the time of holding, without a break.
func (h *hold) deadFor(key string, it heldItem, now time.Time) bool {
	switch {
	case h.isDown == nil || !h.isDown(it.item.res):
		it.down = time.Time{}
	case it.down.IsZero():
		it.down = now
	}
	h.items[key] = it
	return !it.down.IsZero() && now.Sub(it.down) >= h.length
}
