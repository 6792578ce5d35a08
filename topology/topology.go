// SPDX-License-Identifier: Apache-2.0

// Package topology holds the nouns of Meridian: typed names, the resources that operators write and processes report,
// their validation, the immutable Snapshot that every reader works from, the Diff of two snapshots and the Store that
// publishes one.
//
// It knows nothing of etcd, files or time: bytes and values come in, values go out. It starts no goroutine.
//
//	set, mistakes := topology.Set{}, []topology.Mistake{}
//	r, m := topology.Decode(topology.Key{Kind: topology.KindPool, Name: "mcp"}, []byte(`{"protocol":"mcp"}`))
//	set.Put(r)
//	snap, problems := topology.Build(revision, set)
//	store.Swap(snap)
package topology

import (
	"strconv"
	"strings"
)

// The typed names. Each is a DNS label or several joined by dots, lower case, 1 to 63 bytes, but for NameID.
type (
	// RegionID names a Region, as in "eu-central-1".
	RegionID string
	// EdgeID names one running `edge serve`.
	EdgeID string
	// PoolID names a Pool.
	PoolID string
	// NodeID names a Node; it is unique over all pools.
	NodeID string
	// RouteID names a Route.
	RouteID string
	// NameID is a fully qualified DNS name in lower case without the final dot, at most 253 bytes.
	NameID string
	// Revision counts changes of a topology: the etcd revision, or the number of loads of a topology file. 0 is "none yet".
	Revision int64
)

// Kind is a kind of resource: its plural, as in keys and in `edge get KIND`.
type Kind string

// The kinds, in the order in which they may refer to each other (a route names a pool, a pool names nothing).
const (
	KindRegion Kind = "regions"
	KindEdge   Kind = "edges"
	KindPool   Kind = "pools"
	KindNode   Kind = "nodes"
	KindRoute  Kind = "routes"
	KindName   Kind = "names"
	KindDrain  Kind = "drains"
)

// Kinds lists every kind in the order of their references.
var Kinds = [...]Kind{KindRegion, KindEdge, KindPool, KindNode, KindRoute, KindName, KindDrain}

// Singular returns the word for one resource of the kind, as in "node".
func (k Kind) Singular() string { return strings.TrimSuffix(string(k), "s") }

// ParseKind reads a kind in its plural or singular form. ok is false for any other word.
func ParseKind(s string) (k Kind, ok bool) {
	for _, k := range Kinds {
		if s == string(k) || s == k.Singular() {
			return k, true
		}
	}
	return "", false
}

// Key identifies a resource within a topology. A drain's name is its target, as in "node/mcp-1"; no other has a slash.
type Key struct {
	Kind Kind   `json:"kind"`
	Name string `json:"name"`
}

// String returns the key as it is spelled below the root of the store: "nodes/mcp-1".
func (k Key) String() string { return string(k.Kind) + "/" + k.Name }

// Resource is one of *Region, *Edge, *Pool, *Node, *Route, *Name and *Drain. A resource that is in a Set or a Snapshot
// is never changed.
type Resource interface {
	// Key returns the kind and the name.
	Key() Key
	// check notes every mistake in the resource's own fields.
	check(*checker)
	// refs notes every reference to another resource that set does not hold.
	refs(set Set, c *checker)
}

// Version is the version of a value's form. The zero value stands for ValueVersion and is written as that.
type Version int

// ValueVersion is the version written into every value. A value with a higher one comes from a newer program and is refused.
const ValueVersion Version = 1

// MarshalJSON implements json.Marshaler.
func (v Version) MarshalJSON() ([]byte, error) {
	if v == 0 {
		v = ValueVersion
	}
	return strconv.AppendInt(nil, int64(v), 10), nil
}
