// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"sort"
	"strings"

	"github.com/spf13/cobra"

	"meridian/admin"
	"meridian/topology"
)

func getCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use:       "get KIND [NAME]",
		Short:     "Show resources: regions, edges, pools, nodes, routes, names or drains",
		Example:   "  edge get nodes\n  edge get pool mcp -o yaml",
		Args:      cobra.RangeArgs(1, 2),
		ValidArgs: kindWords(),
		RunE: func(c *cobra.Command, args []string) error {
			items, err := o.fetch(c, args)
			if err != nil {
				return err
			}
			if len(args) == 2 {
				return o.print(c.OutOrStdout(), items[0].Value, func(p *printer) { printItems(p, items) })
			}
			return o.print(c.OutOrStdout(), values(items), func(p *printer) { printItems(p, items) })
		},
	}
}

func kindWords() []string {
	var out []string
	for _, k := range topology.Kinds {
		out = append(out, string(k))
	}
	return out
}

func (o *options) fetch(c *cobra.Command, args []string) ([]admin.RawItem, error) {
	kind, ok := topology.ParseKind(args[0])
	if !ok {
		return nil, misusef("%q is not a kind; want one of %s", args[0], strings.Join(kindWords(), ", "))
	}
	if len(args) == 1 {
		return o.adminClient().List(c.Context(), kind)
	}
	item, err := o.adminClient().Get(c.Context(), topology.Key{Kind: kind, Name: args[1]})
	return []admin.RawItem{item}, err
}

func values(items []admin.RawItem) []json.RawMessage {
	out := []json.RawMessage{}
	for _, it := range items {
		out = append(out, it.Value)
	}
	return out
}

// printItems draws one column for each plain field; nested ones are written as "a=1 b=2".
func printItems(p *printer, items []admin.RawItem) {
	if len(items) == 0 {
		p.line("none")
		return
	}
	var columns []string
	seen := map[string]bool{"version": true, "name": true, "report": true}
	for _, it := range items {
		for _, name := range fieldOrder(it.Value) {
			if !seen[name] {
				seen[name] = true
				columns = append(columns, name)
			}
		}
	}
	head := []string{"NAME"}
	for _, c := range columns {
		head = append(head, strings.ToUpper(strings.ReplaceAll(c, "_", " ")))
	}
	p.head(append(head, "ORIGIN")...)
	for _, it := range items {
		var fields map[string]any
		json.Unmarshal(it.Value, &fields) // the admin client has checked that it is JSON
		row := []string{it.Name}
		for _, c := range columns {
			row = append(row, dash(cell(fields[c])))
		}
		origin := "stored"
		if it.Live {
			origin = "registered"
		}
		p.row(append(row, origin)...)
	}
}

// fieldOrder returns the names of an object's fields as they stand in it.
func fieldOrder(raw json.RawMessage) []string {
	dec := json.NewDecoder(strings.NewReader(string(raw)))
	var names []string
	if _, err := dec.Token(); err != nil {
		return nil
	}
	for dec.More() {
		t, err := dec.Token()
		if err != nil {
			return names
		}
		name, ok := t.(string)
		if !ok {
			return names
		}
		var skip json.RawMessage
		if dec.Decode(&skip) != nil {
			return names
		}
		names = append(names, name)
	}
	return names
}

func cell(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case map[string]any:
		var parts []string
		for k, e := range v {
			parts = append(parts, k+"="+cell(e))
		}
		sort.Strings(parts)
		return strings.Join(parts, " ")
	case []any:
		var parts []string
		for _, e := range v {
			parts = append(parts, cell(e))
		}
		return strings.Join(parts, " ")
	}
	return fmt.Sprint(v)
}
