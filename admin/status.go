// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"net/netip"
	"time"

	"meridian/health"
	"meridian/topology"
)

// Status is what `edge status` shows: the fleet as one edge sees it.
type Status struct {
	Edge     topology.EdgeID    `json:"edge"`
	Region   topology.RegionID  `json:"region"`
	Version  string             `json:"version"`
	Started  time.Time          `json:"started"`
	Ready    bool               `json:"ready"`
	Reason   string             `json:"reason,omitempty"` // why it is not ready
	Topology TopologyStatus     `json:"topology"`
	Regions  []RegionStatus     `json:"regions"`
	Edges    []EdgeStatus       `json:"edges"`
	Pools    []PoolStatus       `json:"pools"`
	Nodes    []NodeStatus       `json:"nodes"`
	Drains   []DrainStatus      `json:"drains"`
	Refused  []topology.Refusal `json:"refused"`
}

// TopologyStatus says where the topology in use comes from and how fresh it is.
type TopologyStatus struct {
	Source   string            `json:"source"` // "etcd", "file PATH", "last good on disk"
	Revision topology.Revision `json:"revision"`
	// Stale says that the source can't be seen; the last good topology is in use.
	Stale       bool      `json:"stale"`
	Since       time.Time `json:"since"`                 // of the present state of Stale
	LastContact time.Time `json:"last_contact,omitzero"` // with the source
	Detail      string    `json:"detail,omitempty"`
	// Held is how many nodes and edges are in use though their lease ran out, Alarm that so many did at once that they are kept until they
	// return or fail their checks.
	Held  int    `json:"held,omitempty"`
	Alarm string `json:"alarm,omitempty"`
}

// RegionStatus is how a region stands for each pool.
type RegionStatus struct {
	Name  topology.RegionID                    `json:"name"`
	Edges topology.PoolView                    `json:"edges"`
	Pools map[topology.PoolID]RegionPoolStatus `json:"pools"`
}

// RegionPoolStatus says whether a region can serve a pool.
type RegionPoolStatus struct {
	CanServe bool   `json:"can_serve"`
	Reason   string `json:"reason"`
}

// EdgeStatus is one edge as this one sees it.
type EdgeStatus struct {
	Name      topology.EdgeID   `json:"name"`
	Region    topology.RegionID `json:"region"`
	Self      bool              `json:"self,omitempty"`
	Health    string            `json:"health"`
	Reason    string            `json:"reason,omitempty"`
	Addresses []netip.Addr      `json:"addresses"`
	HTTP      string            `json:"http,omitempty"`
	Revision  topology.Revision `json:"revision"`
	Stale     bool              `json:"stale"`
}

// PoolStatus is a pool over all regions.
type PoolStatus struct {
	Name     topology.PoolID                         `json:"name"`
	Protocol topology.Protocol                       `json:"protocol"`
	Up       int                                     `json:"up"`
	Total    int                                     `json:"total"`
	Regions  map[topology.RegionID]topology.PoolView `json:"regions"`
}

// NodeStatus is one node: the verdict on it, what this edge has at it, what it reports of itself, and its drain.
type NodeStatus struct {
	Name    topology.NodeID   `json:"name"`
	Pool    topology.PoolID   `json:"pool"`
	Region  topology.RegionID `json:"region"`
	Zone    string            `json:"zone,omitempty"`
	Address string            `json:"address"`
	Live    bool              `json:"live"` // registered itself
	Health  string            `json:"health"`
	Since   time.Time         `json:"since,omitzero"`
	Reason  string            `json:"reason,omitempty"`
	// Latency is that of this edge's last check, BanUntil when the ban of a node that requests ejected ends or has ended, History the last
	// changes of its health, at most health.MaxHistory, oldest first. Of other regions' nodes that this edge doesn't check, History is what it
	// heard of them, and the rest is known to an edge of CheckedBy.
	Latency  topology.Duration `json:"latency,omitempty"`
	BanUntil time.Time         `json:"ban_until,omitzero"`
	History  []health.Change   `json:"history,omitempty"`
	// CheckedBy are the edges that check it, sorted.
	CheckedBy []topology.EdgeID `json:"checked_by,omitempty"`
	InFlight  int               `json:"in_flight"` // from this edge
	Streams   int               `json:"streams"`   // through this edge
	Sessions  int               `json:"sessions"`  // bound at this edge
	Load      *topology.Load    `json:"load,omitempty"`
	Drain     string            `json:"drain"` // "", "draining", "leaving", "drained" or "cut"
}

// DrainStatus is one drain and what this edge still has there.
type DrainStatus struct {
	*topology.Drain
	Ack topology.Ack `json:"ack"`
}

// Item is one resource as `edge get` shows it.
type Item struct {
	Kind  topology.Kind     `json:"kind"`
	Name  string            `json:"name"`
	Live  bool              `json:"live,omitempty"`
	Value topology.Resource `json:"value"`
}
