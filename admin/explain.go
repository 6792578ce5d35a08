// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"net/netip"

	"meridian/balancer"
	"meridian/topology"
)

// DNSExplanation is why a client gets the answer that it gets.
type DNSExplanation struct {
	Name      topology.NameID     `json:"name"`
	Pool      topology.PoolID     `json:"pool"`
	From      netip.Addr          `json:"from"`
	Edge      topology.EdgeID     `json:"edge"` // whose view this is
	Revision  topology.Revision   `json:"revision"`
	Place     PlaceExplanation    `json:"place"`
	Region    topology.RegionID   `json:"region"`
	Addresses []netip.Addr        `json:"addresses"`
	Scope     netip.Prefix        `json:"scope"` // the clients to whom the same answer is given
	TTL       topology.Duration   `json:"ttl"`
	Why       string              `json:"why"`
	FailOpen  bool                `json:"fail_open"` // no region can serve: answered as if all could
	Regions   []RegionExplanation `json:"regions"`   // in the order of preference
}

// PlaceExplanation is where the client is taken to be.
type PlaceExplanation struct {
	Known     bool    `json:"known"`
	Country   string  `json:"country,omitempty"`
	Continent string  `json:"continent,omitempty"`
	Latitude  float64 `json:"latitude,omitempty"`
	Longitude float64 `json:"longitude,omitempty"`
	Source    string  `json:"source"`
}

// RegionExplanation is one region that was considered.
type RegionExplanation struct {
	Region     topology.RegionID `json:"region"`
	DistanceKm float64           `json:"distance_km"`
	CanServe   bool              `json:"can_serve"`
	Reason     string            `json:"reason"`
	Chosen     bool              `json:"chosen"`
}

// HTTPExplanation is where a request goes and why.
type HTTPExplanation struct {
	Method   string            `json:"method"`
	Host     string            `json:"host"`
	Path     string            `json:"path"`
	Edge     topology.EdgeID   `json:"edge"`
	Revision topology.Revision `json:"revision"`
	Route    topology.RouteID  `json:"route,omitempty"`
	Pool     topology.PoolID   `json:"pool,omitempty"`
	Node     topology.NodeID   `json:"node,omitempty"` // what a request made now would get
	Why      string            `json:"why"`
	// Policy is that by which a node of a tier is chosen, Tiers the pool's in the order in which they are tried.
	Policy topology.Policy      `json:"policy,omitempty"`
	Tiers  []balancer.TierStats `json:"tiers,omitempty"`
	Nodes  []NodeExplanation    `json:"nodes"`
}

// NodeExplanation is one node that was considered.
type NodeExplanation struct {
	Node     topology.NodeID   `json:"node"`
	Region   topology.RegionID `json:"region"`
	Tier     int               `json:"tier"` // 0: the edge's own region; higher is farther
	Health   string            `json:"health"`
	InFlight int               `json:"in_flight"`
	Streams  int               `json:"streams"`
	Weight   int               `json:"weight"`
	// Limit is the most requests in flight from this edge, 0 for no bound; RIF what is in flight for each unit of weight, Hot that it is more
	// than on most of the tier; Score how slowly the node answers against the routes' medians.
	Limit     int     `json:"limit,omitempty"`
	RIF       float64 `json:"rif"`
	Hot       bool    `json:"hot,omitempty"`
	Score     float64 `json:"score"`
	SlowStart bool    `json:"slow_start,omitempty"`
	Eligible  bool    `json:"eligible"`
	Chosen    bool    `json:"chosen"`
	Reason    string  `json:"reason"`
}
