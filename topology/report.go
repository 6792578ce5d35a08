// SPDX-License-Identifier: Apache-2.0

package topology

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"
)

// MaxReportBytes bounds a Report, and the value of an edge, which holds one: 10,000 nodes of a region may all be down.
const MaxReportBytes = 1 << 20

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
	// Nodes holds the verdict on every node of the edge's own region, and on every other that it checks, that is not up; the others are up.
	Nodes map[NodeID]string `json:"nodes,omitempty"`
	// Edges holds the verdict on every edge that this one probes and that is not up.
	Edges map[EdgeID]string `json:"edges,omitempty"`
	// Acks are the edge's words on the drains that it knows of.
	Acks []Ack `json:"acks,omitempty"`
	// Availability is what the nodes of the edge's own region can take, by pool and zone.
	Availability []Availability `json:"availability,omitempty"`
	// Usage is what the edge has out at nodes that have a capacity; nothing at the others.
	Usage map[NodeID]Usage `json:"usage,omitempty"`
}

// Ack returns the edge's word on the drain of that name, or nil. A nil report has none.
func (r *Report) Ack(drain string) *Ack {
	if r == nil {
		return nil
	}
	for i := range r.Acks {
		if r.Acks[i].IsOf(drain) {
			return &r.Acks[i]
		}
	}
	return nil
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

// DecodeReport reads a report that another edge gave and checks it. Unknown fields are passed over. On an error the
// report is nil.
func DecodeReport(b []byte) (*Report, error) {
	if len(b) > MaxReportBytes {
		return nil, fmt.Errorf("the report has %d bytes; at most %d", len(b), MaxReportBytes)
	}
	if !isObject(b) {
		return nil, errNotObject
	}
	var r Report
	if err := json.Unmarshal(b, &r); err != nil {
		return nil, err
	}
	c := checker{}
	r.check(&c, "")
	if len(c.found) > 0 {
		return nil, fmt.Errorf("%s: %s", c.found[0].Field, c.found[0].Message)
	}
	return &r, nil
}

// check notes every mistake in a report, whose fields stand below prefix.
func (r *Report) check(c *checker, prefix string) {
	if r.Revision < 0 {
		c.mistake(prefix+"revision", "%d is below 0", r.Revision)
	}
	for _, id := range slices.Sorted(maps.Keys(r.Pools)) {
		c.name(prefix+"pools", string(id))
		if v := r.Pools[id]; v.Up < 0 || v.Total < 0 || v.Up > v.Total {
			c.mistake(prefix+"pools", "%d of %d nodes of pool %q are up; want 0 <= up <= total", v.Up, v.Total, clip(string(id)))
		}
	}
	for _, id := range slices.Sorted(maps.Keys(r.Nodes)) {
		c.name(prefix+"nodes", string(id))
		c.text(prefix+"nodes", r.Nodes[id], maxReasonBytes)
	}
	for _, id := range slices.Sorted(maps.Keys(r.Edges)) {
		c.name(prefix+"edges", string(id))
		c.text(prefix+"edges", r.Edges[id], maxReasonBytes)
	}
	r.checkUsage(c, prefix)
	for _, a := range r.Acks {
		if !a.Valid() {
			c.mistake(prefix+"acks", "the word on %q is malformed: want a drain or a node, and counts from 0", clip(a.Drain+string(a.Node)))
		}
	}
}
