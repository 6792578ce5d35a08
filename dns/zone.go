// SPDX-License-Identifier: Apache-2.0

package dns

import (
	"net/netip"
	"sync/atomic"

	"github.com/VictoriaMetrics/metrics"

	"meridian/dns/wire"
	"meridian/topology"
)

// The times of the zones' own records, in seconds.
const (
	soaTTL     = 3600
	soaRefresh = 3600
	soaRetry   = 600
	soaExpire  = 86400
	// negativeTTL is SOA MINIMUM (RFC 2308, section 4): short, since a name may be applied at any time.
	negativeTTL = 60
	nsTTL       = 3600
	// hostTTL is that of name servers' addresses: short, since edges come and go.
	hostTTL = 60
	// anyTTL is that of the answer to ANY (RFC 8482, section 4.2).
	anyTTL = 3600
)

const (
	// maxAddresses bounds the addresses in one answer. Ours: more don't make a client more lucky, but an answer larger.
	maxAddresses = 8
	// maxServers bounds the NS records of a zone: what the root has, and what fits into a UDP answer.
	maxServers = 13
)

// zones is the compiled form of a topology's names: every owner name that exists, with what it owns. Immutable but for the
// counters in it.
type zones struct {
	// owners is keyed by the name in wire form, lower case. Names that only lead to others (empty non-terminals) are in it.
	owners  map[string]*owner
	regions map[topology.RegionID]int // index into owner.answers
	inputs  inputs
}

// zone is one zone of authority.
type zone struct {
	apex  wire.Suffix
	above *zone // the zone that holds this one's apex and is served here too, or nil
	// servers is the NS set.
	servers []server
	// primary and mailbox are the SOA's names.
	primary, mailbox wire.Name
}

// server is one name server: the edges of one region.
type server struct {
	host  wire.Name
	owner *owner
}

// owner is one name of a zone and what it owns.
type owner struct {
	zone *zone
	apex bool
	size wire.Suffix // of the name in wire form

	// name is set for a name of the topology.
	name *topology.Name
	ttl  uint32
	// answers counts answers by region, created with the first.
	answers []atomic.Pointer[metrics.Counter]

	// v4 and v6 are set for a name server.
	v4, v6 []netip.Addr
}

// empty reports whether o exists only because names below it do.
func (o *owner) empty() bool { return !o.apex && o.name == nil && len(o.v4)+len(o.v6) == 0 }

// find returns the owner of a name (wire form, lower case). If there is none, exact is false and the owner is the closest
// name above that exists (RFC 4592, section 3.3.1), or nil for a name outside of every zone.
func (z *zones) find(name []byte) (o *owner, exact bool) {
	for at := 0; at < len(name)-1; at += int(name[at]) + 1 {
		if o := z.owners[string(name[at:])]; o != nil {
			return o, at == 0
		}
	}
	return nil, false
}
