// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"io"
	"strings"
	"text/tabwriter"

	"meridian/config"
)

// checkOutput refuses an unknown form before anything is done.
func (o *options) checkOutput() error {
	if o.output != "table" && o.output != "json" && o.output != "yaml" {
		return misusef("-o %q is not a form; want table, json or yaml", o.output)
	}
	return nil
}

// print writes v in the form of --output; table draws it for people.
func (o *options) print(w io.Writer, v any, table func(*printer)) error {
	switch o.output {
	case "json":
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		enc.SetEscapeHTML(false)
		return enc.Encode(v)
	case "yaml":
		b, err := config.EncodeYAML(v)
		if err != nil {
			return err
		}
		_, err = w.Write(b)
		return err
	}
	p := &printer{tw: tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)}
	table(p)
	return p.tw.Flush()
}

// printer draws tables for people.
type printer struct{ tw *tabwriter.Writer }

// row writes one line of cells.
func (p *printer) row(cells ...string) {
	io.WriteString(p.tw, strings.Join(cells, "\t")+"\n")
}

// head starts a new table below what has been drawn, with its own widths.
func (p *printer) head(cells ...string) {
	p.tw.Flush()
	p.row(cells...)
}

// line writes text that takes no part in a table's widths.
func (p *printer) line(s string) {
	p.tw.Flush()
	io.WriteString(p.tw, s+"\n")
	p.tw.Flush()
}

// dash stands for an empty cell.
func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
