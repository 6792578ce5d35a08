// SPDX-License-Identifier: Apache-2.0

package balancer

import (
	"strconv"
	"time"

	"meridian/topology"
)

// Near is how near a tier is to the edge.
type Near string

// The distances.
const (
	NearZone   Near = "zone"   // the edge's own
	NearRegion Near = "region" // the rest of its region
	NearRemote Near = "remote" // another region
)

func nearOf(k tierKey, order []topology.RegionID) Near {
	switch {
	case k.zone != "":
		return NearZone
	case len(order) > 0 && k.region != order[0]:
		return NearRemote
	}
	return NearRegion
}

// pickedBy is what is noted of a pick as it is made: a bit for each thing.
type pickedBy uint16

const (
	byShare    pickedBy = 1 << iota // it began with this tier, as those before have not room for all
	byAbove                         // all others that are up are above the pool's utilization
	byOverflow                      // as an overflow node
	byUnknown                       // as one not yet checked
	byRefused                       // though it refused a connection just now
	byCrowd                         // though it is half-open and has a request out
	byReserve                       // though its region is drained
	byFallback                      // of the fallback pool
	bySession                       // it was bound, not picked
	byKey                           // by the request's key
	byRelief                        // instead of the zone's best node, on which others wait
)

// Why says by what a lease's node was picked.
type Why struct {
	Node   topology.NodeID `json:"node"`
	Pool   topology.PoolID `json:"pool"` // another than was asked for if it is the fallback
	Policy topology.Policy `json:"policy"`
	// Tier is the place of the node's tier in the order in which they are tried, from 0; Tiers is how many there are.
	Tier  int  `json:"tier"`
	Tiers int  `json:"tiers"`
	Near  Near `json:"near"`
	// RIF is as Candidate has it, the lease itself counted; Hot says that the node was so before.
	RIF   float64 `json:"rif"`
	Score float64 `json:"score"`
	Hot   bool    `json:"hot,omitempty"`
	// Standing is that of the node, SlowStart whether it is in it, Probe whether this is the one request of a half-open node.
	Standing  Standing      `json:"standing"`
	SlowStart bool          `json:"slow_start,omitempty"`
	Probe     bool          `json:"probe,omitempty"`
	Median    time.Duration `json:"median_ns"` // of the route's time to the first byte

	by pickedBy
}

// Why returns by what the lease's node was picked. It is zero for the zero lease and after Done. What it says of the node is of now: to be
// called right after the pick. It does not allocate.
func (l *Lease) Why() Why {
	if l.entry == nil {
		return Why{}
	}
	e, st := l.entry, l.entry.state
	c := (&judge{}).look(e, &wish{}, 1<<24)
	return Why{
		Node: e.node.Name, Pool: e.node.Pool, Policy: e.group.pool.spec.EffectivePolicy(),
		Tier: e.group.place, Tiers: len(e.group.pool.groups), Near: e.group.near,
		RIF: hundredths(c.rif), Hot: c.rif-1/st.share.load() > max(leastTheta, e.group.tier.theta.load()), Score: hundredths(c.score),
		Standing: Standing(st.standing.Load()), SlowStart: st.slow.Load(), Probe: l.ticket&probeOut != 0, Median: l.route.Median(), by: l.by,
	}
}

// String returns the reason in short: see Append.
func (w *Why) String() string { return string(w.Append(nil)) }

// Append appends the reason in short, as in "latency zone 1/3 hot", or nothing if there was no pick:
//
//	why    = policy SP tier *(SP note)
//	policy = that of the pool, or "session" for the node of a session
//	tier   = ("zone" / "region" / "remote") SP place "/" tiers   ; place from 1, in the order in which they are tried
//	note   = "share"      ; begun with this tier, as those before have not room for all
//	       / "relief"     ; of the rest of the region, as others wait on the nodes of the zone
//	       / "above"      ; every node that is up is above the pool's utilization
//	       / "overflow"   ; an overflow node, as the others take no more
//	       / "unchecked"  ; not yet checked, as none that is up can be picked
//	       / "refused"    ; it refused a connection just now, as no other can be picked
//	       / "probe"      ; the one request of a node that is half-open
//	       / "crowded"    ; half-open with a request out already, as no other can be picked
//	       / "drained"    ; its region is drained, as no other can be picked
//	       / "panic"      ; ejected or down, as fewer than half of the tier are up
//	       / "fallback"   ; a node of the fallback pool
//	       / "keyless"    ; the policy hashes and the request has no key: by least_request
//	       / "hot"        ; above the tier's quantile of requests in flight
//	       / "slow_start" ; the node is new or just back
func (w *Why) Append(b []byte) []byte {
	if w.Node == "" {
		return b
	}
	session := w.by&bySession != 0
	if session {
		b = append(b, "session"...)
	} else {
		b = append(b, w.Policy...)
	}
	b = append(append(append(b, ' '), w.Near...), ' ')
	b = strconv.AppendInt(b, int64(w.Tier+1), 10)
	b = strconv.AppendInt(append(b, '/'), int64(w.Tiers), 10)
	for _, n := range [...]struct {
		is   bool
		note string
	}{
		{w.by&byShare != 0, " share"}, {w.by&byRelief != 0, " relief"}, {w.by&byAbove != 0, " above"}, {w.by&byOverflow != 0, " overflow"}, {w.by&byUnknown != 0, " unchecked"},
		{w.by&byRefused != 0, " refused"}, {w.Probe, " probe"}, {w.by&byCrowd != 0, " crowded"}, {w.by&byReserve != 0, " drained"},
		{!session && (w.Standing == StandingEjected || w.Standing == StandingDown), " panic"}, {w.by&byFallback != 0, " fallback"},
		{!session && w.Policy.IsHashed() && w.by&byKey == 0, " keyless"}, {w.Hot, " hot"}, {w.SlowStart, " slow_start"},
	} {
		if n.is {
			b = append(b, n.note...)
		}
	}
	return b
}
