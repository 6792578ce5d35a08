// SPDX-License-Identifier: Apache-2.0

package config_test

import (
	"fmt"
	"go/ast"
	"go/doc/comment"
	"go/parser"
	"go/token"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"meridian/config"
	"meridian/topology"
)

// TestReferenceIsMadeFromTheDocComments compares reference.md with what the structs say; -rewrite writes it anew.
func TestReferenceIsMadeFromTheDocComments(t *testing.T) {
	p := page{docs: docComments(t, ".", "../topology")}
	p.line("# Reference\n\nMade from the doc comments of packages `config` and `topology`; `go test ./config -rewrite` makes it anew.\n")
	p.line("A duration is written with its unit, as in `500ms`, `10s` or `5m`. Anchors, aliases, merge keys and tags of YAML are not taken.\n")
	p.line("## edge.yaml\n\n%s\n", p.docs["Edge config"])
	p.fields(reflect.TypeFor[config.Edge](), reflect.ValueOf(config.Edge{Name: name}.WithDefaults()), "")
	p.line("\n## Topology files\n\nLists of resources, in one or several YAML documents: `regions`, `pools`, `nodes`, `routes`, `names`, `edges`, `drains`.")
	for _, kind := range topology.Kinds {
		r := reflect.TypeOf(topology.New(kind)).Elem()
		p.line("\n### %s\n\n%s\n", kind, p.docs[r.Name()+" topology"])
		p.fields(r, reflect.Value{}, "")
	}
	compare(t, "reference.md", p.out.String())
	if !*rewrite && config.Reference() != p.out.String() {
		t.Error("Reference() differs from reference.md")
	}
}

// name stands for the edge's name in defaults that are made of it.
const name = "NAME"

type page struct {
	out  strings.Builder
	docs map[string]string // by "Type package" and "Type.Field package"
}

func (p *page) line(format string, args ...any) { fmt.Fprintf(&p.out, format+"\n", args...) }

// fields writes one line for each field that holds a value, with its default if defaults are given.
func (p *page) fields(t reflect.Type, defaults reflect.Value, path string) {
	for f := range t.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "-" || isOwn(t, name) {
			continue
		}
		var value reflect.Value
		if defaults.IsValid() {
			value = defaults.FieldByIndex(f.Index)
		}
		doc := p.docs[t.Name()+"."+f.Name+" "+filepath.Base(t.PkgPath())]
		if f.Type.Kind() == reflect.Struct && f.Type.PkgPath() == t.PkgPath() {
			p.line("* `%s`: %s", path+name, inner(doc, f.Name, p.docs[f.Type.Name()+" "+filepath.Base(t.PkgPath())]))
			p.fields(f.Type, value, path+name+".")
			continue
		}
		if f.Type.Kind() == reflect.Slice && f.Type.Elem().Kind() == reflect.Struct && f.Type.Elem().PkgPath() == t.PkgPath() {
			p.line("* `%s` (list of mappings)%s", path+name, after(doc, f.Name, name))
			p.fields(f.Type.Elem(), reflect.Value{}, path+name+"[].")
			continue
		}
		p.line("* `%s` (%s%s)%s", path+name, form(f.Type), shown(value), after(doc, f.Name, name))
	}
}

func isOwn(t reflect.Type, name string) bool {
	return t == reflect.TypeFor[topology.Node]() && (name == "leaving" || name == "load") ||
		t == reflect.TypeFor[topology.Edge]() && (name == "started" || name == "leaving" || name == "report")
}

// inner prefers the field's comment to that of its type.
func inner(doc, field, ofType string) string {
	if doc == "" {
		return ofType
	}
	return doc
}

// after puts the name in the file in the place of the name in Go.
func after(doc, goName, name string) string {
	if doc == "" {
		return ""
	}
	if rest, ok := strings.CutPrefix(doc, goName+" "); ok {
		doc = "`" + name + "` " + rest
	}
	return ": " + doc
}

func shown(v reflect.Value) string {
	if !v.IsValid() || v.IsZero() || v.Interface() == topology.EdgeID(name) {
		return ""
	}
	if v.Kind() == reflect.Slice && v.Len() == 0 {
		return ", default `[]`"
	}
	return fmt.Sprintf(", default `%v`", v.Interface())
}

func form(t reflect.Type) string {
	switch t {
	case reflect.TypeFor[netip.Addr]():
		return "IP address"
	case reflect.TypeFor[time.Time]():
		return "time"
	case reflect.TypeFor[topology.Duration]():
		return "duration"
	}
	switch t.Kind() {
	case reflect.Slice:
		return "list of " + form(t.Elem())
	case reflect.Map:
		return "mapping to " + form(t.Elem())
	case reflect.Bool:
		return "true or false"
	case reflect.Int:
		return "whole number"
	case reflect.Float64:
		return "number"
	case reflect.String:
		return "text"
	}
	panic("no word for " + t.String())
}

// docComments returns the comments of the structs and their fields in the Go files of the folders.
func docComments(t *testing.T, folders ...string) map[string]string {
	docs := map[string]string{}
	for _, folder := range folders {
		files, err := filepath.Glob(filepath.Join(folder, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			src, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			parsed, err := parser.ParseFile(token.NewFileSet(), file, src, parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			collect(parsed, docs)
		}
	}
	return docs
}

func collect(file *ast.File, docs map[string]string) {
	for _, decl := range file.Decls {
		gen, ok := decl.(*ast.GenDecl)
		if !ok {
			continue
		}
		for _, spec := range gen.Specs {
			ts, ok := spec.(*ast.TypeSpec)
			if !ok {
				continue
			}
			st, ok := ts.Type.(*ast.StructType)
			if !ok {
				continue
			}
			docs[ts.Name.Name+" "+file.Name.Name] = words(gen.Doc)
			for _, f := range st.Fields.List {
				for _, name := range f.Names {
					docs[ts.Name.Name+"."+name.Name+" "+file.Name.Name] = words(f.Doc)
				}
			}
		}
	}
}

// words returns a comment as one line of Markdown.
func words(g *ast.CommentGroup) string {
	if g == nil {
		return ""
	}
	var printer comment.Printer
	md := printer.Text(new(comment.Parser).Parse(g.Text()))
	return strings.Join(strings.Fields(string(md)), " ")
}
