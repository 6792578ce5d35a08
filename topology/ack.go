// SPDX-License-Identifier: Apache-2.0

package topology

import "time"

// Ack is one edge's word on a drain, published under the edge's lease. The same form acknowledges a node that is Leaving.
type Ack struct {
	// Drain is the drain's name. Empty for a node that is only Leaving, and in the words of programs that know drains of nodes only.
	Drain string `json:"drain,omitempty"`
	// Node is the node of a drain of one, or the one that is Leaving; empty otherwise.
	Node NodeID `json:"node,omitempty"`
	// Created and Deadline are the drain's: they say which drain by the name the edge has seen.
	Created  time.Time `json:"created,omitzero"`
	Deadline time.Time `json:"deadline,omitzero"`
	// Revision is that of the topology in which the edge saw the drain.
	Revision Revision `json:"revision"`
	InFlight int      `json:"in_flight"` // requests to what is drained from this edge, streams left out; at an edge that is drained all that it has
	Streams  int      `json:"streams"`   // streams open through this edge
	Sessions int      `json:"sessions"`  // sessions bound there at this edge, idle ones included
	// Connections are those of clients, at an edge that is drained, idle ones included.
	Connections int `json:"connections,omitempty"`
	// DNSLeft is for how many seconds resolvers may still hold an answer of this edge's authority that leads to what is drained: 0 to
	// a day, rounded up. Only of drains of regions and edges.
	DNSLeft int `json:"dns_left,omitempty"`
	// Cut is how many requests and streams the edge cut at the deadline.
	Cut int `json:"cut,omitempty"`
	// Done says that the deadline has passed and the edge has cut what was left.
	Done bool `json:"done,omitempty"`
}

// Quiet reports whether nothing is in flight and no stream is open. Idle sessions don't count, nor do idle connections.
func (a Ack) Quiet() bool { return a.InFlight == 0 && a.Streams == 0 }

// IsOf reports whether the word is on the drain of that name, or on a node that is Leaving where the name is that node's drain's.
func (a Ack) IsOf(name string) bool {
	return a.Drain == name || a.Drain == "" && a.Node != "" && name == string(ScopeNode)+"/"+string(a.Node)
}

// IsFor reports whether the word is on the very drain d, which stands at revision since in etcd: not on one that was taken back.
func (a Ack) IsFor(d *Drain, since Revision) bool {
	if !a.IsOf(d.Name) {
		return false
	}
	if a.Created.IsZero() { // of a program that says no more
		return a.Revision >= since
	}
	return d.Same(&Drain{Name: d.Name, Created: a.Created, Deadline: a.Deadline})
}

// Valid reports whether the word is well formed: counts are not below 0, and it is on something.
func (a Ack) Valid() bool {
	if a.InFlight < 0 || a.Streams < 0 || a.Sessions < 0 || a.Cut < 0 || a.Connections < 0 || a.DNSLeft < 0 {
		return false
	}
	_, named := ParseDrainTarget(a.Drain)
	return named && (a.Node == "" || validName(string(a.Node))) || a.Drain == "" && validName(string(a.Node))
}
