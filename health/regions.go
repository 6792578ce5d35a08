// SPDX-License-Identifier: Apache-2.0

package health

import (
	"fmt"
	"strings"

	"meridian/topology"
)

// EdgeView is what is known of one edge where it is asked whether a region can serve.
type EdgeView struct {
	Edge *topology.Edge
	// Standing is the edge's state by this edge's own checks; the edge itself is Up. Unknown: not checked yet, or not
	// checkable; then the reports of the other edges decide.
	Standing State
	// Reason is that of the verdict, for people. May be empty.
	Reason string
	// Drained is why clients are kept away from the edge by an operator's drain, for people. Empty: they are not.
	Drained string
	// Report is the newest report of the edge (topology.Report.Newer), or nil.
	Report *topology.Report
}

// CanServe says whether a region can serve a pool to clients. edges are the edges of all regions. It can if
//   - an edge of the region is not down. Down is one that is Leaving or Drained, or whose Standing is Down or Ejected; one whose
//     Standing is Unknown is down if the report of another edge, which is not down by its own Standing, says so;
//   - and of those edges one has a report in which a node of the pool can be picked in the region, or has no report yet.
//
// usable are the edges that clients may be sent to, in the order of edges: those for which both hold. Where ok is false
// they are what is left for an answer that must be given anyhow: the edges that are not down, or else all of the region.
// reason says why, for people, as in "2 of 2 nodes up, 1 edge up" or "edge eu-1: down: connect refused".
func CanServe(region topology.RegionID, pool topology.PoolID, edges []EdgeView) (ok bool, reason string, usable []*topology.Edge) {
	var all, alive []*topology.Edge
	var faults []string
	var best topology.PoolView
	for _, e := range edges {
		if e.Edge == nil || e.Edge.Region != region {
			continue
		}
		all = append(all, e.Edge)
		if fault := e.fault(edges); fault != "" {
			faults = append(faults, fmt.Sprintf("edge %s: %s", e.Edge.Name, fault))
			continue
		}
		alive = append(alive, e.Edge)
		if e.Report == nil {
			usable = append(usable, e.Edge)
		} else if v := e.Report.Pools[pool]; v.Up > 0 {
			usable = append(usable, e.Edge)
			if v.Up > best.Up {
				best = v
			}
		}
	}
	switch {
	case len(all) == 0:
		return false, "the region has no edge", nil
	case len(alive) == 0:
		return false, strings.Join(faults, "; "), all
	case len(usable) == 0:
		return false, fmt.Sprintf("no node of pool %s is up", pool), alive
	}
	return true, able(best, len(alive), len(all)), usable
}

// fault says why the edge is down, or nothing if it isn't.
func (e EdgeView) fault(edges []EdgeView) string {
	if e.Edge.Leaving {
		return "it is ending"
	}
	if e.Drained != "" {
		return e.Drained
	}
	if e.Standing == Unknown {
		return accusation(e.Edge.Name, edges)
	}
	if e.Standing.CanPick() {
		return ""
	}
	if e.Reason == "" {
		return e.Standing.String()
	}
	return e.Reason
}

// accusation returns what the reports of other edges have against an edge. A report lists edges that are not up by
// Verdict.Brief; only down and ejected count, the rest is doubt.
func accusation(id topology.EdgeID, edges []EdgeView) string {
	for _, o := range edges {
		if o.Edge == nil || o.Edge.Name == id || o.Report == nil || o.Standing == Down || o.Standing == Ejected {
			continue
		}
		word, _, _ := strings.Cut(o.Report.Edges[id], ":")
		if word == Down.String() || word == Ejected.String() {
			return fmt.Sprintf("edge %s says %s", o.Edge.Name, o.Report.Edges[id])
		}
	}
	return ""
}

func able(best topology.PoolView, alive, all int) string {
	nodes := "nodes not reported yet"
	if best.Up > 0 {
		nodes = fmt.Sprintf("%d of %d nodes up", best.Up, best.Total)
	}
	switch {
	case alive < all:
		return fmt.Sprintf("%s, %d of %d edges up", nodes, alive, all)
	case all == 1:
		return nodes + ", 1 edge up"
	}
	return fmt.Sprintf("%s, %d edges up", nodes, all)
}
