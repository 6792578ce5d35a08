// SPDX-License-Identifier: Apache-2.0

package topology

import (
	"strings"
	"time"
)

// Drain asks every edge to send a node no new session and no sessionless request. It is undone by deleting it.
type Drain struct {
	Version Version `json:"version"`
	// Name is what is drained: "node/NAME".
	Name string `json:"name"`
	// Author is who asked, Reason why; both for people.
	Author string `json:"author,omitempty"`
	Reason string `json:"reason,omitempty"`
	// Created is when it was asked, by the asker's clock.
	Created time.Time `json:"created"`
	// Deadline is when edges cut what is still in flight and every stream. Zero: never.
	Deadline time.Time `json:"deadline,omitzero"`
}

// Node returns the node that is drained.
func (d *Drain) Node() NodeID {
	n, _ := strings.CutPrefix(d.Name, "node/")
	return NodeID(n)
}

// Key implements Resource.
func (d *Drain) Key() Key { return Key{KindDrain, d.Name} }

func (d *Drain) check(c *checker) {
	c.version(d.Version)
	if n, ok := strings.CutPrefix(d.Name, "node/"); !ok || !validName(n) {
		c.mistake("name", "%q is not a target; want node/NAME", clip(d.Name))
	}
	c.text("author", d.Author, maxReasonBytes)
	c.text("reason", d.Reason, maxReasonBytes)
	if !d.Deadline.IsZero() && d.Deadline.Before(d.Created) {
		c.mistake("deadline", "it is before created")
	}
}

// refs allows a drain of a node that is not there: a node may come back while it is drained.
func (d *Drain) refs(Set, *checker) {}

// Ack is one edge's word on a drain, published under the edge's lease. The same form acknowledges a node that is Leaving.
type Ack struct {
	Node NodeID `json:"node"`
	// Revision is that of the topology in which the edge saw the drain.
	Revision Revision `json:"revision"`
	InFlight int      `json:"in_flight"` // requests at the node from this edge, streams left out
	Streams  int      `json:"streams"`   // streams open through this edge
	Sessions int      `json:"sessions"`  // sessions bound to the node at this edge, idle ones included
	// Cut is how many requests and streams the edge cut at the deadline.
	Cut int `json:"cut,omitempty"`
	// Done says that the deadline has passed and the edge has cut what was left.
	Done bool `json:"done,omitempty"`
}

// Quiet reports whether nothing is in flight and no stream is open. Idle sessions don't count.
func (a Ack) Quiet() bool { return a.InFlight == 0 && a.Streams == 0 }
