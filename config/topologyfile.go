// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"reflect"

	"go.yaml.in/yaml/v3"

	"meridian/topology"
)

// TopologyFile is a parsed topology file, with the place of everything in it. Immutable: safe for concurrent use.
//
//	regions:
//	  - name: us-east-1
//	    latitude: 39.04
//	    longitude: -77.49
//	pools: [...]     # and nodes, routes, names, edges, drains
type TopologyFile struct {
	// File is the name that ParseTopology was given.
	File string
	// Resources are in the order of the file. Empty where there were problems: a file is taken whole or not at all.
	Resources []topology.Resource

	set    topology.Set // of all that could be read, wrong ones included
	places map[topology.Key]place
}

// place is where a resource stands.
type place struct {
	node *yaml.Node
	path string // "nodes[3]"
}

// ownFields are written by processes about themselves, never by an operator.
var ownFields = map[topology.Kind]map[string]bool{
	topology.KindNode: {"leaving": true, "load": true, "live": true},
	topology.KindEdge: {"started": true, "leaving": true, "report": true, "live": true},
}

// ParseTopology reads a topology file of one or several YAML documents, at most 64 MiB, and checks each resource by
// itself. Whether the references between resources resolve depends on what they are added to: CheckAlone says it for
// the file alone. file is only named in problems. It never returns nil: Locate and CheckAlone work on a wrong file too.
func ParseTopology(file string, b []byte) (*TopologyFile, []Problem) {
	t := &TopologyFile{File: file, set: topology.Set{}, places: map[topology.Key]place{}}
	d := newDecoder(&report{file: file})
	var resources []topology.Resource
	for _, root := range d.documents(b, maxTopologyBytes) {
		if d.dropped {
			break
		}
		if !d.isKind(root, yaml.MappingNode, "", "a mapping with regions, pools, nodes, routes, names, edges or drains") {
			continue
		}
		d.pairs(root, "", func(key, value *yaml.Node, field string) {
			resources = append(resources, t.section(d, key, value)...)
		})
	}
	if len(resources) == 0 && len(d.found) == 0 {
		// An editor that truncates before it writes must not look like an operator who wants everything gone.
		d.add(1, 1, "", "the file holds no resource; want regions, pools, nodes, routes, names, edges or drains")
	}
	if len(d.found) == 0 {
		t.Resources = resources
	}
	return t, d.problems()
}

// section reads the list of one kind.
func (t *TopologyFile) section(d *decoder, key, list *yaml.Node) []topology.Resource {
	kind := topology.Kind(key.Value)
	if topology.New(kind) == nil {
		known := map[string]int{}
		for _, k := range topology.Kinds {
			known[string(k)] = 0
		}
		d.at(key, join("", key.Value), "there is no such kind of resource%s", didYouMean(key.Value, known))
		return nil
	}
	if isNull(list) || !d.isKind(list, yaml.SequenceNode, string(kind), "a list (start each resource with \"- name:\")") {
		return nil
	}
	out := make([]topology.Resource, 0, len(list.Content))
	for i, n := range list.Content {
		if d.dropped {
			return out
		}
		p := place{n, fmt.Sprintf("%s[%d]", kind, i)}
		if isNull(n) || !d.isKind(n, yaml.MappingNode, p.path, "a mapping with a name") {
			if isNull(n) {
				d.at(n, p.path, "an empty value does not fit; want a mapping with a name")
			}
			continue
		}
		out = append(out, t.resource(d, kind, p))
	}
	return out
}

func (t *TopologyFile) resource(d *decoder, kind topology.Kind, p place) topology.Resource {
	before := len(d.found)
	r := topology.New(kind)
	d.value(d.withoutOwn(kind, p), reflect.ValueOf(r).Elem(), p.path)
	wrong := map[string]bool{}
	for _, problem := range d.found[before:] {
		wrong[problem.Field] = true
	}
	for _, m := range topology.Check(r) {
		if problem := t.at(p, m); !wrong[problem.Field] { // else it has been said already
			d.add(problem.Line, problem.Column, problem.Field, "%s", problem.Message)
		}
	}
	t.put(d, r, p)
	return r
}

// withoutOwn reports the fields that no operator writes, and returns the resource without them.
func (d *decoder) withoutOwn(kind topology.Kind, p place) *yaml.Node {
	own, n := ownFields[kind], p.node
	for i := 0; i+1 < len(n.Content); i += 2 {
		if !own[n.Content[i].Value] {
			continue
		}
		d.at(n.Content[i], join(p.path, n.Content[i].Value), "a running %s writes this field about itself; remove it", kind.Singular())
		without := *n
		without.Content = append(append([]*yaml.Node{}, n.Content[:i]...), n.Content[i+2:]...)
		return d.withoutOwn(kind, place{&without, p.path})
	}
	return n
}

func (t *TopologyFile) put(d *decoder, r topology.Resource, p place) {
	key := r.Key()
	if key.Name == "" {
		return // Check has said that the name is missing
	}
	if first, twice := t.places[key]; twice {
		d.at(p.node, p.path, "%s %q is already on line %d; remove one", key.Kind.Singular(), clip(key.Name), first.node.Line)
		d.at(first.node, first.path, "%s %q is written again on line %d; remove one", key.Kind.Singular(), clip(key.Name), p.node.Line)
		return
	}
	t.places[key] = p
	t.set.Put(r)
}

// CheckAlone returns every reference that does not resolve and every contradiction within the file, for a file that is
// the whole topology.
func (t *TopologyFile) CheckAlone() []Problem {
	r := &report{file: t.File}
	for _, m := range t.set.CheckWhole() {
		p := t.Locate(m)
		r.add(p.Line, p.Column, p.Field, "%s", p.Message)
	}
	return r.problems()
}

// Locate says where in the file a mistake stands. For a mistake in a resource that is not in the file, Line is 0 and
// Field starts with the resource's key.
func (t *TopologyFile) Locate(m topology.Mistake) Problem {
	if p, ok := t.places[m.Key]; ok {
		return t.at(p, m)
	}
	field := m.Key.String()
	if m.Field != "" {
		field += ": " + m.Field
	}
	return Problem{File: t.File, Field: field, Message: m.Message}
}

func (t *TopologyFile) at(p place, m topology.Mistake) Problem {
	line, column := find(p.node, m.Field)
	field := p.path
	if m.Field != "" {
		field += "." + m.Field
	}
	return Problem{t.File, line, column, field, m.Message}
}
