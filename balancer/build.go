// SPDX-License-Identifier: Apache-2.0

package balancer

import (
	"slices"

	"meridian/balancer/hash"
	"meridian/topology"
)

// built is a table as it was made from a group's nodes. Immutable.
type built struct {
	policy  topology.Policy
	members []hash.Member
	order   []int32
	maglev  *hash.Maglev
	ring    *hash.Ring
}

// placement is a built table with the nodes of a snapshot in the members' places; nil for who is gone.
type placement struct {
	*built
	nodes []*entry
}

// places returns how many places a key can have.
func (t *placement) places() int {
	if t.maglev != nil {
		return t.maglev.Len()
	}
	return t.ring.Len()
}

// find returns where a key stands in a ring.
func (t *placement) find(key uint64) int {
	if t.ring == nil {
		return 0
	}
	return t.ring.Find(key)
}

// at returns a key's n-th node, or nil.
func (t *placement) at(key uint64, place, n int) *entry {
	if t.maglev != nil {
		return t.nodes[t.maglev.At(key, n)]
	}
	return t.nodes[t.ring.At(place, n)]
}

// tabled returns the policy by which the group's table is to be made, or nothing.
func (g *group) tabled() topology.Policy {
	switch p := g.pool.spec.Policy; p {
	case topology.PolicyRandom:
		if g.equal {
			return ""
		}
		return topology.PolicyWeightedRoundRobin // drawn from instead of gone through
	case topology.PolicyWeightedRoundRobin, topology.PolicyMaglev, topology.PolicyRing:
		return p
	}
	return ""
}

// useLocked takes a table into use, if it is of the group's policy. The caller holds Table.mu.
func (g *group) useLocked(b *built) {
	if b == nil || b.policy != g.tabled() {
		return
	}
	t := &placement{built: b, nodes: make([]*entry, len(b.members))}
	at := 0
	for i, m := range b.members { // both are sorted by name
		for at < len(g.all) && string(g.all[at].node.Name) < m.Name {
			at++
		}
		if at < len(g.all) && string(g.all[at].node.Name) == m.Name {
			t.nodes[i] = g.all[at]
		}
	}
	g.table.Store(t)
}

// isStaleLocked reports whether the group's table is to be made anew. The caller holds Table.mu.
func (g *group) isStaleLocked() bool {
	p := g.tabled()
	if p == "" {
		return false
	}
	b := g.tier.built
	if b == nil || b.policy != p || len(b.members) != len(g.all) {
		return true
	}
	return !slices.EqualFunc(b.members, g.all, func(m hash.Member, e *entry) bool {
		return m.Name == string(e.node.Name) && m.Weight == int(e.weight)
	})
}

// staleLocked returns a group whose table is to be made anew, or nil. The caller holds Table.mu.
func (v *view) staleLocked() *group {
	for _, p := range v.pools {
		for _, g := range p.groups {
			if g.isStaleLocked() {
				return g
			}
		}
	}
	return nil
}

// build makes all tables that are out of date. It holds the lock only between them. Two at once do work twice, no harm.
func (t *Table) build() {
	for {
		key, b := t.nextBuild()
		if b == nil {
			return
		}
		b.make()
		t.mu.Lock()
		for _, g := range t.view.Load().groupsOf(key.pool) {
			if g.key == key {
				g.tier.built = b
				g.useLocked(b)
			}
		}
		t.mu.Unlock()
	}
}

// nextBuild returns what is to be made, not yet made, and for whom.
func (t *Table) nextBuild() (tierKey, *built) {
	t.mu.Lock()
	defer t.mu.Unlock()
	g := t.view.Load().staleLocked()
	if g == nil {
		return tierKey{}, nil
	}
	b := &built{policy: g.tabled(), members: make([]hash.Member, 0, len(g.all))}
	for _, e := range g.all {
		b.members = append(b.members, hash.Member{Name: string(e.node.Name), Weight: int(e.weight)})
	}
	return g.key, b
}

func (b *built) make() {
	switch b.policy {
	case topology.PolicyMaglev:
		b.maglev = hash.NewMaglev(b.members)
	case topology.PolicyRing:
		b.ring = hash.NewRing(b.members)
	default:
		b.order = hash.Smooth(b.members)
	}
}
