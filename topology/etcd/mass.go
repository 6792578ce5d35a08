// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"meridian/topology"
)

// A mass disappearance is at least massFewest registrations of a region, or of all, and more than massShare of them, that vanish within
// WatcherConfig.Hold without a goodbye. Processes die one by one, or their machine with them, and then checks say so. What takes many
// leases at once is what all hang on: an etcd that was frozen or restored, its certificate, the way to it. Ours: 2/7 is what a tier can
// lose without passing any work on (1 - 1/1.4), so that to drop up to so many costs nothing; and two are no crowd.
const (
	massFewest = 3
	massShare  = 2.0 / 7
)

// mass is where registrations have disappeared in masses.
type mass struct {
	all     bool
	regions map[topology.RegionID]bool
}

func (m mass) any() bool { return m.all || len(m.regions) > 0 }

// has reports whether a resource is part of it.
func (m mass) has(r topology.Resource) bool { return m.all || m.regions[regionOf(r)] }

func regionOf(r topology.Resource) topology.RegionID {
	switch r := r.(type) {
	case *topology.Node:
		return r.Region
	case *topology.Edge:
		return r.Region
	}
	return ""
}

// gone is how many registrations of some are gone, and how many there were.
type gone struct{ held, total int }

func (g gone) isMass() bool {
	return g.held >= massFewest && float64(g.held) > massShare*float64(g.total)
}

// massOf works out from what is held and what is registered where it is a mass, and says it for people.
func massOf(held map[string]heldItem, items map[string]*item) (m mass, text string) {
	var all gone
	by := map[topology.RegionID]gone{}
	count := func(r topology.Resource, held int) {
		region := regionOf(r)
		g := by[region]
		by[region] = gone{g.held + held, g.total + 1}
		all = gone{all.held + held, all.total + 1}
	}
	for _, h := range held {
		count(h.item.res, 1)
	}
	for _, it := range items {
		if it.live {
			count(it.res, 0)
		}
	}
	m.all = all.isMass()
	m.regions = map[topology.RegionID]bool{}
	var where []string
	for region, g := range by {
		if g.isMass() {
			m.regions[region] = true
			where = append(where, fmt.Sprintf("%d of %d in %s", g.held, g.total, region))
		}
	}
	if !m.any() {
		return m, ""
	}
	slices.Sort(where)
	if m.all || len(where) > 4 {
		where = []string{fmt.Sprintf("%d of %d", all.held, all.total)}
	}
	return m, fmt.Sprintf("the registrations of nodes and edges vanished without a goodbye (%s); they stay in use until they return or fail their checks", strings.Join(where, ", "))
}

// judgeMass looks whether so many registrations are gone that it can't be their processes. When that is over, those that are still
// held have their usual time again, as after any loss of contact.
func (w *Watcher) judgeMass(now time.Time) {
	was := w.hold.mass
	if len(w.hold.items) < massFewest && !was.any() {
		return // as nearly always
	}
	next, text := massOf(w.hold.items, w.view.items)
	w.hold.mass = next
	switch {
	case next.any() && !was.any():
		w.log.Error("ALARM: " + text)
	case !next.any() && was.any():
		w.log.Info("the registrations are back, or those that are not have been found dead", "held", len(w.hold.items))
	}
	if was.any() && (was.all && !next.all || len(next.regions) < len(was.regions)) {
		w.hold.restart(now)
	}
	w.state.update(func(s *Status) { s.Mass = text })
}
