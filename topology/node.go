// SPDX-License-Identifier: Apache-2.0

package topology

import "time"

// Node is one address that an edge may send to. Static nodes are written by operators; workers register themselves.
type Node struct {
	Version Version  `json:"version"`
	Name    NodeID   `json:"name"`
	Pool    PoolID   `json:"pool"`
	Region  RegionID `json:"region"`
	// Zone is the failure domain within the region; free text of a name's form, may be empty.
	Zone string `json:"zone,omitempty"`
	// Address is IP:PORT.
	Address string `json:"address"`
	// Weight is the node's share relative to the others of its pool. Zero: 1. 1 to 1000.
	Weight int `json:"weight,omitempty"`
	// Capacity bounds what all edges together send to the node.
	Capacity Capacity `json:"capacity,omitzero"`
	// Target is from which part of its capacity on a node's share of new work shrinks, to nothing at the whole; what it doesn't take
	// goes to the next zone or region. Zero: 0.8. 0.1 to 0.99.
	Target float64 `json:"target,omitempty"`
	// Labels are for people, but for role: with "overflow" the node gets only what the others of its pool don't take below their
	// pool's utilization.
	Labels map[string]string `json:"labels,omitempty"`

	// The rest is written by a worker about itself, never by an operator.

	// Leaving is set by a worker that is about to end: no new session and no sessionless request for it.
	Leaving bool `json:"leaving,omitempty"`
	// Load is what the worker last reported, or nil.
	Load *Load `json:"load,omitempty"`
	// Live is set for a node that registered itself. It is not part of the value: where the value stands says it.
	Live bool `json:"-"`
}

// Capacity bounds what all edges together send to a node; each keeps to its share. Zero fields don't bound.
type Capacity struct {
	// Connections is the most requests in flight at once. Below the number of edges each may still have one.
	Connections int `json:"connections,omitempty"`
	// RPS is the most requests a second.
	RPS float64 `json:"rps,omitempty"`
}

// Load is what a worker reports of itself under its lease.
type Load struct {
	InFlight    int       `json:"in_flight"`   // requests being worked on, open streams left out
	Connections int       `json:"connections"` // open TCP connections
	Sessions    int       `json:"sessions"`    // MCP sessions held
	CPU         float64   `json:"cpu"`         // share of the machine's processors used by the process, 0..1
	At          time.Time `json:"at"`          // by the worker's clock
}

// Key implements Resource.
func (n *Node) Key() Key { return Key{KindNode, string(n.Name)} }

// EffectiveWeight returns the weight with its default.
func (n *Node) EffectiveWeight() int { return max(1, n.Weight) }

// EffectiveTarget returns Target with its default.
func (n *Node) EffectiveTarget() float64 {
	if n.Target == 0 {
		return 0.8
	}
	return n.Target
}

// IsOverflow reports whether the node gets only what the others of its pool don't take.
func (n *Node) IsOverflow() bool { return n.Labels["role"] == "overflow" }

func (n *Node) check(c *checker) {
	c.version(n.Version)
	c.name("name", string(n.Name))
	c.name("pool", string(n.Pool))
	c.name("region", string(n.Region))
	if n.Zone != "" {
		c.name("zone", n.Zone)
	}
	c.address("address", n.Address)
	c.integer("weight", n.Weight, 1, maxWeight)
	c.integer("capacity.connections", n.Capacity.Connections, 1, 10_000_000)
	if r := n.Capacity.RPS; r != 0 && !(r >= 0.01 && r <= 1e9) {
		c.mistake("capacity.rps", "%v is out of bounds; want 0.01 to 1e9", r)
	}
	c.ratio("target", n.Target, 0.1, 0.99)
	c.labels("labels", n.Labels)
	if l := n.Load; l != nil && !(l.InFlight >= 0 && l.Connections >= 0 && l.Sessions >= 0 && l.CPU >= 0 && l.CPU <= 1) {
		c.mistake("load", "a figure is out of bounds; want counts from 0 and cpu in 0..1")
	}
}

func (n *Node) refs(set Set, c *checker) {
	c.ref(set, "pool", KindPool, string(n.Pool))
	c.ref(set, "region", KindRegion, string(n.Region))
}
