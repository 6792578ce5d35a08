// SPDX-License-Identifier: Apache-2.0

package main

import (
	"time"

	"meridian/geo"
	"meridian/health"
	"meridian/health/probe"
	"meridian/topology"
)

// How edges check each other. Ours: a killed edge refuses at once and is out after 600 ms; one that hangs is out after
// 2.2 s, within the three seconds in which DNS must follow; a timeout that long forgives a busy machine.
const (
	edgeInterval     = 500 * time.Millisecond
	edgeFastInterval = 100 * time.Millisecond
	edgeTimeout      = 800 * time.Millisecond
	edgeFall         = 2
	edgeRise         = 1
)

// rarely is how often this edge checks a node of its region that others check for it: in case they are wrong.
const rarely = time.Minute

// targets lists what this edge checks: the nodes that are its part of the plan, the others of its region when there is doubt, as it sends to
// them and sees requests fail before others do, and the other edges.
func (s *server) targets(snap *topology.Snapshot, plan checkPlan) ([]probe.Target, map[string]health.Settings) {
	var targets []probe.Target
	settings := map[string]health.Settings{}
	for _, n := range snap.Nodes {
		mine := plan.has(n.Name, s.cfg.Name)
		if !mine && n.Region != s.cfg.Region {
			continue
		}
		pool := snap.Pool(n.Pool)
		id := string(n.Name)
		targets = append(targets, probe.Target{ID: id, Kind: probe.Node, Address: n.Address, Check: pool.HealthCheck})
		set := health.SettingsOf(pool)
		set.Group = string(n.Pool) + "/" + string(n.Region)
		if !mine {
			set.Rarely = max(rarely, set.Interval)
		}
		settings[id] = set
	}
	for _, e := range snap.Edges {
		if e.Name == s.cfg.Name || e.Admin == "" {
			continue
		}
		id := edgeTarget + string(e.Name)
		targets = append(targets, probe.Target{ID: id, Kind: probe.Edge, Address: e.Admin, Check: topology.HealthCheck{
			Timeout: topology.Duration(edgeTimeout),
		}})
		settings[id] = health.Settings{Rise: edgeRise, Fall: edgeFall, Interval: edgeInterval, FastInterval: edgeFastInterval}
	}
	return targets, settings
}

// regionOrder lists the regions in which a node is looked for: the own first, then the nearest to it.
func regionOrder(snap *topology.Snapshot, own topology.RegionID) []topology.RegionID {
	order := []topology.RegionID{own}
	self := snap.Region(own)
	var sites []geo.Site
	for _, r := range snap.Regions {
		if r.Name != own {
			sites = append(sites, geo.Site{Region: r.Name, Latitude: r.Latitude, Longitude: r.Longitude})
		}
	}
	if self == nil {
		for _, s := range sites {
			order = append(order, s.Region)
		}
		return order
	}
	for _, r := range geo.Rank(geo.Place{Known: true, Latitude: self.Latitude, Longitude: self.Longitude}, sites) {
		order = append(order, r.Region)
	}
	return order
}
