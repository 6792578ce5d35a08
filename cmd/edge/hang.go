// SPDX-License-Identifier: Apache-2.0

package main

import (
	"time"

	"meridian/health"
	"meridian/topology"
)

// checkStalled has nodes checked at once of which nothing comes back while requests wait: one that hangs takes connections and gives no
// error, and its turn to be checked may be a second away.
func (s *server) checkStalled(nodes []topology.NodeID) {
	for _, id := range nodes {
		if s.tracker.Verdict(string(id)).State == health.Down {
			s.leaveDown(id) // of what was picked just before it was found
		}
		if s.tracker.Observe(string(id), health.Stalled, "", time.Now()) {
			s.prober.Hurry(string(id))
		}
	}
}

// leaveDown takes requests that wait for an answer away from a node that is down, if another one of its pool is up: where all seem
// down, what a node has begun may still be answered.
func (s *server) leaveDown(id topology.NodeID) {
	snap := s.store.Load()
	if snap == nil {
		return
	}
	n := snap.Node(id)
	if n == nil || !s.table.Occupied(id) || !s.table.AnyUp(n.Pool) {
		return
	}
	if moved := s.proxy.LeaveNode(id); moved > 0 {
		s.log.Info("requests that waited for a node that is down are tried elsewhere", "node", id, "requests", moved)
	}
}
