// SPDX-License-Identifier: Apache-2.0

package topology

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
)

// MaxValueBytes bounds one value, but an edge's, for which it is MaxReportBytes. Ours: a value is one resource, and etcd's
// default request limit is 1.5 MiB.
const MaxValueBytes = 64 << 10

// MaxBytes returns the bound of a value of the kind.
func MaxBytes(k Kind) int {
	if k == KindEdge {
		return MaxReportBytes
	}
	return MaxValueBytes
}

// New returns an empty resource of the kind, or nil for a kind that does not exist.
func New(k Kind) Resource {
	switch k {
	case KindRegion:
		return &Region{}
	case KindEdge:
		return &Edge{}
	case KindPool:
		return &Pool{}
	case KindNode:
		return &Node{}
	case KindRoute:
		return &Route{}
	case KindName:
		return &Name{}
	case KindDrain:
		return &Drain{}
	}
	return nil
}

// Decode reads the value of the resource at key and validates its own fields. Unknown fields are passed over (a newer
// program may have written them); Merge keeps them when the value is rewritten. On any mistake the resource is nil.
func Decode(key Key, value []byte) (Resource, []Mistake) {
	c := checker{key: key}
	r := New(key.Kind)
	if r == nil {
		c.mistake("", "%q is not a kind of resource", clip(string(key.Kind)))
		return nil, c.found
	}
	if most := MaxBytes(key.Kind); len(value) > most {
		c.mistake("", "the value has %d bytes; at most %d", len(value), most)
		return nil, c.found
	}
	if field, err := unmarshal(value, r); err != nil {
		c.mistake(field, "%v", err)
		return nil, c.found
	}
	if r.Key().Name != key.Name {
		c.mistake("name", "%q does not match the key's %q", clip(r.Key().Name), clip(key.Name))
	}
	r.check(&c) // not Check: its mistakes would bear the name in the value, which may be anything
	if len(c.found) > 0 {
		return nil, c.found
	}
	return r, nil
}

// unmarshal decodes one JSON object and names the field at fault.
func unmarshal(value []byte, r Resource) (field string, err error) {
	if !isObject(value) {
		return "", errNotObject
	}
	if err := json.Unmarshal(value, r); err != nil {
		var te *json.UnmarshalTypeError
		if errors.As(err, &te) {
			return te.Field, errors.New("a JSON " + te.Value + " does not fit; want " + te.Type.String())
		}
		return "", errors.New(strings.TrimPrefix(err.Error(), "json: "))
	}
	return "", nil
}

var errNotObject = errors.New("the value is not a JSON object")

// isObject reports whether a JSON text is an object. json.Unmarshal takes null for one, too.
func isObject(value []byte) bool {
	t := bytes.TrimLeft(value, " \t\r\n")
	return len(t) > 0 && t[0] == '{'
}

// VersionOf returns the version that a value says it has, 0 for one that says none or is no JSON object.
func VersionOf(value []byte) Version {
	var v struct {
		Version Version `json:"version"`
	}
	if json.Unmarshal(value, &v) != nil {
		return 0
	}
	return v.Version
}

// Check validates a resource's own fields, as Decode does.
func Check(r Resource) []Mistake {
	c := checker{key: r.Key()}
	r.check(&c)
	return c.found
}

// Encode returns the value of a resource: one JSON object.
func Encode(r Resource) []byte {
	b, err := json.Marshal(r)
	if err != nil {
		panic("topology: " + r.Key().String() + ": " + err.Error()) // invariant: resources hold only plain values
	}
	return b
}
