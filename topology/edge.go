// SPDX-License-Identifier: Apache-2.0

package topology

import (
	"net/netip"
	"time"
)

// Edge is one running `edge serve`. Edges register themselves under a lease; in a topology file, or for an edge that the
// authority must know before it runs, an operator may write one.
type Edge struct {
	Version Version  `json:"version"`
	Name    EdgeID   `json:"name"`
	Region  RegionID `json:"region"`
	Zone    string   `json:"zone,omitempty"`
	// Addresses are what DNS answers for the region: 1 to 8, IPv4 or IPv6.
	Addresses []netip.Addr `json:"addresses"`
	// HTTP is IP:PORT of the first data listener, for people. May be empty.
	HTTP string `json:"http,omitempty"`
	// DNS is IP:PORT of the authority. May be empty.
	DNS string `json:"dns,omitempty"`
	// Admin is IP:PORT of the admin listener, which other regions' edges probe. Empty: it is not probed.
	Admin string `json:"admin,omitempty"`

	// The rest is written by an edge about itself, never by an operator.

	Started time.Time `json:"started,omitzero"`
	// Report is what the edge last published of what it sees, or nil.
	Report *Report `json:"report,omitempty"`
	// Live is set for an edge that registered itself. It is not part of the value: where the value stands says it.
	Live bool `json:"-"`
}

// Report is one edge's view: published under its lease and given in answer to other edges' probes. Of two reports of
// one edge the one with the higher (Started, Seq) is newer.
type Report struct {
	Started time.Time `json:"started"` // when the edge started, by its clock
	Seq     uint64    `json:"seq"`     // counts the edge's reports since then, from 1
	// Revision is the topology in use.
	Revision Revision `json:"revision"`
	// Stale says that the edge can't see etcd and works from the last good topology.
	Stale bool `json:"stale,omitempty"`
	// Pools says, for the nodes of the edge's own region, how many of each pool can be picked.
	Pools map[PoolID]PoolView `json:"pools,omitempty"`
	// Nodes holds the verdict on every node that the edge checks and that is not up; the others are up.
	Nodes map[NodeID]string `json:"nodes,omitempty"`
	// Edges holds the verdict on every edge that this one probes and that is not up.
	Edges map[EdgeID]string `json:"edges,omitempty"`
}

// PoolView is how a pool stands in one region.
type PoolView struct {
	Up    int `json:"up"`    // nodes that can be picked
	Total int `json:"total"` // nodes there are
}

// Newer reports whether r was made after o. Any report is newer than nil.
func (r *Report) Newer(o *Report) bool {
	switch {
	case r == nil:
		return false
	case o == nil:
		return true
	case !r.Started.Equal(o.Started):
		return r.Started.After(o.Started)
	}
	return r.Seq > o.Seq
}

// Key implements Resource.
func (e *Edge) Key() Key { return Key{KindEdge, string(e.Name)} }

func (e *Edge) check(c *checker) {
	c.version(e.Version)
	c.name("name", string(e.Name))
	c.name("region", string(e.Region))
	if e.Zone != "" {
		c.name("zone", e.Zone)
	}
	if len(e.Addresses) < 1 || len(e.Addresses) > 8 {
		c.mistake("addresses", "%d addresses; want 1 to 8 that clients can reach", len(e.Addresses))
	}
	for _, a := range e.Addresses {
		if !a.IsValid() {
			c.mistake("addresses", "an address is empty")
			continue
		}
		c.reachable("addresses", a)
	}
	for field, s := range map[string]string{"http": e.HTTP, "dns": e.DNS, "admin": e.Admin} {
		if s != "" {
			c.address(field, s)
		}
	}
}

func (e *Edge) refs(set Set, c *checker) { c.ref(set, "region", KindRegion, string(e.Region)) }
