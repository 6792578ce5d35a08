// SPDX-License-Identifier: Apache-2.0

package topology

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Name is a DNS name that the authority answers: the addresses of the edges in the region that suits the client best
// among those that can serve the pool.
type Name struct {
	Version Version `json:"version"`
	Name    NameID  `json:"name"`
	// Zone is the apex of the zone that holds the name. Empty: the name without its first label.
	Zone NameID `json:"zone,omitempty"`
	// Pool is what must be up in a region for it to be answered.
	Pool PoolID `json:"pool"`
	// Regions limits the answer to these. Empty: all.
	Regions []RegionID `json:"regions,omitempty"`
	// TTL is how long resolvers may keep an answer. Zero: 30s. 1s to 24h, whole seconds. Shorter follows failures
	// sooner and costs queries.
	TTL Duration `json:"ttl,omitempty"`
}

// EffectiveZone returns Zone with its default.
func (n *Name) EffectiveZone() NameID {
	if n.Zone != "" {
		return n.Zone
	}
	_, parent, _ := strings.Cut(string(n.Name), ".")
	return NameID(parent)
}

// EffectiveTTL returns TTL with its default.
func (n *Name) EffectiveTTL() time.Duration { return n.TTL.Or(30 * time.Second) }

// Serves reports whether the region may be answered for the name.
func (n *Name) Serves(r RegionID) bool { return len(n.Regions) == 0 || slices.Contains(n.Regions, r) }

// Key implements Resource.
func (n *Name) Key() Key { return Key{KindName, string(n.Name)} }

func (n *Name) check(c *checker) {
	c.version(n.Version)
	c.name("pool", string(n.Pool))
	if !validHost(string(n.Name)) || !strings.Contains(string(n.Name), ".") {
		c.mistake("name", "%q is not a DNS name; want lower case, at least two labels, no final dot", clip(string(n.Name)))
	} else if z := n.EffectiveZone(); !validHost(string(z)) || (n.Name != z && !strings.HasSuffix(string(n.Name), "."+string(z))) {
		c.mistake("zone", "%q does not hold the name %q", clip(string(z)), clip(string(n.Name)))
	}
	for i, r := range n.Regions {
		c.name(fmt.Sprintf("regions[%d]", i), string(r))
	}
	c.duration("ttl", n.TTL, time.Second, 24*time.Hour)
	if n.TTL.Std()%time.Second != 0 {
		c.mistake("ttl", "%s is not a whole number of seconds", n.TTL)
	}
}

func (n *Name) refs(set Set, c *checker) {
	c.ref(set, "pool", KindPool, string(n.Pool))
	for i, r := range n.Regions {
		c.ref(set, fmt.Sprintf("regions[%d]", i), KindRegion, string(r))
	}
}
