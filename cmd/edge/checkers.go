// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"slices"
	"time"

	"meridian/balancer"
	"meridian/health"
	"meridian/topology"
)

// checkPlan says which edges check which node. Immutable.
type checkPlan map[topology.NodeID][]topology.EdgeID

// planOf makes the plan of a topology with the edges that are alive in it.
func planOf(snap *topology.Snapshot, alive []*topology.Edge) checkPlan {
	roster := health.NewRoster(alive)
	plan := make(checkPlan, len(snap.Nodes))
	for _, n := range snap.Nodes {
		plan[n.Name] = roster.Of(n)
	}
	return plan
}

// has reports whether an edge checks a node.
func (p checkPlan) has(n topology.NodeID, e topology.EdgeID) bool {
	_, found := slices.BinarySearch(p[n], e)
	return found
}

// alive lists the edges that can check: this one, and those that are not down, nor ending, nor only written down by an operator.
func (s *server) alive(snap *topology.Snapshot) []*topology.Edge {
	self := s.fleet.me()
	out := []*topology.Edge{&self}
	for _, e := range snap.Edges {
		state := s.tracker.Verdict(edgeTarget + string(e.Name)).State
		if e.Name != self.Name && !e.Leaving && (state.CanPick() || state == health.Unknown && e.Live) {
			out = append(out, e)
		}
	}
	return out
}

// retarget has the checks follow the topology and the edges that are alive.
func (s *server) retarget() {
	s.targeting.Lock()
	defer s.targeting.Unlock()
	snap := s.store.Load()
	if snap == nil {
		return
	}
	plan := planOf(snap, s.alive(snap))
	targets, settings := s.targets(snap, plan)
	s.tracker.Apply(settings, time.Now())
	s.prober.SetTargets(targets)
	if old := s.fleet.plan.Swap(&plan); old != nil {
		for id := range plan { // what others have checked until now is not due for long
			if plan.has(id, s.cfg.Name) && !old.has(id, s.cfg.Name) {
				s.prober.Kick(string(id))
			}
		}
	}
}

// checks reports whether this edge checks the node, so that its own verdict counts and not the others'.
func (f *fleet) checks(n *topology.Node) bool {
	if plan := f.plan.Load(); plan != nil {
		return plan.has(n.Name, f.self.Name)
	}
	return n.Region == f.self.Region
}

// checkersOf returns the edges that check a node, nil where no plan knows it.
func (f *fleet) checkersOf(n topology.NodeID) []topology.EdgeID {
	if plan := f.plan.Load(); plan != nil {
		return (*plan)[n]
	}
	return nil
}

// witnesses are the reports of those that check a node; where none of them reports, of all edges of its region.
func (f *fleet) witnesses(n *topology.Node, reports map[topology.EdgeID]*topology.Report, ofRegion []*topology.Report) []*topology.Report {
	var out []*topology.Report
	for _, e := range f.checkersOf(n.Name) {
		if r := reports[e]; r != nil {
			out = append(out, r)
		}
	}
	if len(out) == 0 {
		return ofRegion
	}
	return out
}

// followReports takes the verdict on the nodes that this edge does not check from the edges that do: on other regions' nodes as it is,
// on its own region's as news for what it knows of them itself.
func (f *fleet) followReports(snap *topology.Snapshot, edges []health.EdgeView, now time.Time) {
	if snap == nil {
		return
	}
	reports := map[topology.EdgeID]*topology.Report{}
	byRegion := map[topology.RegionID][]*topology.Report{}
	for _, e := range edges {
		if e.Report != nil && e.Standing != health.Down && e.Edge.Name != f.self.Name {
			reports[e.Edge.Name] = e.Report
			byRegion[e.Edge.Region] = append(byRegion[e.Edge.Region], e.Report)
		}
	}
	arrivals := make(map[topology.NodeID]arrival, len(f.arrivals))
	for _, n := range snap.Nodes {
		if f.checks(n) {
			continue
		}
		a := f.arrivalOf(n, snap, now)
		standing, reason := hearsay(n.Name, a, f.witnesses(n, reports, byRegion[n.Region]), n.Region == f.self.Region, now)
		if n.Region != f.self.Region {
			f.table.SetStanding(n.Name, standing)
			a.note(standing, reason, now)
		} else if standing != balancer.StandingUnknown && standing != a.told {
			a.told = standing
			f.tracker.Told(string(n.Name), standing == balancer.StandingDown, reason, now)
		}
		arrivals[n.Name] = a
	}
	f.arrivals = arrivals
}

// arrivalOf is when this edge first saw the node at its address.
func (f *fleet) arrivalOf(n *topology.Node, snap *topology.Snapshot, now time.Time) arrival {
	a, known := f.arrivals[n.Name]
	if !known || a.address != n.Address {
		a = arrival{address: n.Address, revision: snap.Revision, at: now}
		if f.outlook.Load().snapshot == nil { // the edge itself is new, not the node
			a.revision = 0
		}
	}
	return a
}

// arrival is when a node appeared, or appeared at another address, and what the health tracker was last told of it.
type arrival struct {
	address  string
	revision topology.Revision
	at       time.Time
	told     balancer.Standing // StandingUnknown: nothing
	// history is how another region's node has stood by what this edge heard, as health.Tracker keeps it of those that it judges itself. It
	// is never changed, but replaced.
	history []health.Change
}

// note enters a change of what is heard.
func (a *arrival) note(s balancer.Standing, reason string, now time.Time) {
	state := map[balancer.Standing]health.State{balancer.StandingUp: health.Up, balancer.StandingDown: health.Down}[s] // or Unknown
	n := len(a.history)
	if n > 0 && a.history[n-1].State == state || n == 0 && state == health.Unknown {
		return
	}
	kept := a.history[max(0, n+1-health.MaxHistory):]
	a.history = append(slices.Clone(kept), health.Change{At: now, State: state, Reason: reason})
}

// heard is what followReports has noted, for views.
func (f *fleet) heard() map[topology.NodeID][]health.Change {
	out := map[topology.NodeID][]health.Change{}
	for id, a := range f.arrivals {
		if a.history != nil {
			out[id] = a.history
		}
	}
	return out
}

// settles is after how long a witness that sees etcd has seen what this edge sees, though its revision is a lower one: a
// revision that changes nothing for it is not taken up.
const settles = 3 * time.Second

// hearsay is the standing of a node by the reports of those that check it: what most of them say (health.Majority) that know the node
// and have checked it, unknown if none has. Of a node that is near, which this edge sends to and judges by that itself, a witness's
// word counts only if it is of checks.
func hearsay(id topology.NodeID, a arrival, reports []*topology.Report, near bool, now time.Time) (s balancer.Standing, reason string) {
	up, down, why := 0, 0, ""
	for _, r := range reports {
		if r.Revision < a.revision && (r.Stale || now.Sub(a.at) < settles) {
			continue // it may not know the node yet
		}
		brief, against := r.Nodes[id]
		state := stateOf(brief)
		switch {
		case !against && len(r.Nodes) < maxAccusations:
			up++
		case !against: // the report is full
		case state == health.Down.String(), !near && state != health.Unknown.String():
			down++
			why = brief
		}
	}
	switch {
	case up+down == 0:
		return balancer.StandingUnknown, ""
	case health.Majority(up, down):
		return balancer.StandingDown, fmt.Sprintf("%d of the %d edges that check it: %s", down, up+down, why)
	}
	return balancer.StandingUp, fmt.Sprintf("%d of the %d edges that check it: up", up, up+down)
}
