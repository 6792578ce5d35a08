// SPDX-License-Identifier: Apache-2.0

package config

import (
	"reflect"
	"strings"

	"go.yaml.in/yaml/v3"
)

// ParseEdge reads an edge's configuration, at most 1 MiB of YAML, and returns it with its defaults filled in, or nil and
// every mistake. Each override, in order, may change what the file says before it is checked: a command's flags do. An
// empty b stands for a file without fields. file is only named in problems.
func ParseEdge(file string, b []byte, overrides ...func(*Edge)) (*Edge, []Problem) {
	return parseEdge(file, b, overrides, func(*Edge) []Problem { return nil })
}

// parseEdge is ParseEdge with a further check of the whole.
func parseEdge(file string, b []byte, overrides []func(*Edge), check func(*Edge) []Problem) (*Edge, []Problem) {
	d := newDecoder(&report{file: file})
	e, root := &Edge{}, &yaml.Node{Kind: yaml.MappingNode, Line: 1, Column: 1}
	roots := d.documents(b, maxEdgeBytes)
	if len(roots) > 1 {
		d.at(roots[1], "", "a second YAML document; an edge has one")
	}
	if len(roots) > 0 {
		root = roots[0]
	}
	syntactic := len(d.found) > 0
	d.value(root, reflect.ValueOf(e).Elem(), "")
	if syntactic || root.Kind != yaml.MappingNode {
		return nil, d.problems() // the fields that could not be read would only be reported as missing
	}
	for _, o := range overrides {
		o(e)
	}
	full := e.WithDefaults()
	d.addEdge(root, append(full.Validate(), check(&full)...))
	if len(d.found) > 0 {
		return nil, d.problems()
	}
	return &full, nil
}

// addEdge adds the problems of Validate at their places, but those of a field that could not be decoded.
func (d *decoder) addEdge(root *yaml.Node, problems []Problem) {
	wrong := map[string]bool{}
	for _, p := range d.found {
		wrong[p.Field] = true
		if p.Field == "http" || strings.HasPrefix(p.Field, "http.listen") {
			wrong["advertise.addresses"] = true // they would have come from there
		}
	}
	for _, p := range problems {
		if !wrong[p.Field] {
			line, column := find(root, p.Field)
			d.add(line, column, p.Field, "%s", p.Message)
		}
	}
}
