// SPDX-License-Identifier: Apache-2.0

package topology

import (
	"fmt"
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
	// Leaving is set by an edge that is about to end: DNS answers it no more.
	Leaving bool `json:"leaving,omitempty"`
	// Report is what the edge last published of what it sees, or nil.
	Report *Report `json:"report,omitempty"`
	// Live is set for an edge that registered itself. It is not part of the value: where the value stands says it.
	Live bool `json:"-"`
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
	for i, a := range e.Addresses {
		field := fmt.Sprintf("addresses[%d]", i)
		switch {
		case !a.IsValid():
			c.mistake(field, "it is empty; want an IP address")
		case a.Is4In6():
			c.mistake(field, "%s is an IPv4 address in IPv6 form; write %s", a, a.Unmap())
		default:
			c.reachable(field, a)
		}
	}
	for _, f := range [...]struct{ field, address string }{{"http", e.HTTP}, {"dns", e.DNS}, {"admin", e.Admin}} {
		if f.address != "" {
			c.address(f.field, f.address)
		}
	}
	if e.Report != nil {
		e.Report.check(c, "report.")
	}
}

func (e *Edge) refs(set Set, c *checker) { c.ref(set, "region", KindRegion, string(e.Region)) }
