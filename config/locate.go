// SPDX-License-Identifier: Apache-2.0

package config

import (
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// find returns the place of a field below n, as in "health_check.interval" or "hosts[2]": of the value where it is plain,
// else of its name. Where the field is not there, it is the place of the nearest one around it.
func find(n *yaml.Node, field string) (line, column int) {
	line, column = n.Line, n.Column
	for field != "" {
		key, value, rest := step(n, field)
		if value == nil {
			return line, column
		}
		line, column = value.Line, value.Column
		if value.Kind != yaml.ScalarNode && key != nil {
			line, column = key.Line, key.Column
		}
		n, field = value, rest
	}
	return line, column
}

// step goes one field or one list item down. A name may hold dots itself, as labels do: the longest that fits is taken.
func step(n *yaml.Node, field string) (key, value *yaml.Node, rest string) {
	switch n.Kind {
	case yaml.SequenceNode:
		number, after, ok := strings.Cut(strings.TrimPrefix(field, "["), "]")
		if i, err := strconv.Atoi(number); ok && err == nil && i >= 0 && i < len(n.Content) {
			return nil, n.Content[i], strings.TrimPrefix(after, ".")
		}
	case yaml.MappingNode:
		length := -1
		for i := 0; i+1 < len(n.Content); i += 2 {
			after, ok := strings.CutPrefix(field, n.Content[i].Value)
			if !ok || (after != "" && after[0] != '.' && after[0] != '[') || len(n.Content[i].Value) <= length {
				continue
			}
			length = len(n.Content[i].Value)
			key, value, rest = n.Content[i], n.Content[i+1], strings.TrimPrefix(after, ".")
		}
	}
	return key, value, rest
}
