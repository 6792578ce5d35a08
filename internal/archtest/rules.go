// SPDX-License-Identifier: Apache-2.0

package archtest

import (
	"bytes"
	"cmp"
	"fmt"
	"go/ast"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Violation is one breach of one rule.
type Violation struct {
	Where string // a file with line, a file or a package
	What  string // what is there
	Why   string // the rule
}

// String returns "balancer/pick.go:12: calls time.Now: …".
func (v Violation) String() string { return v.Where + ": " + v.What + ": " + v.Why }

// Check returns every violation of the rules, sorted by place.
func Check(packages []Package, rules Rules) []Violation {
	c := &checker{rules: rules}
	present := map[string]bool{}
	for _, p := range packages {
		present[p.Path] = true
		c.checkPackage(p)
	}
	for p := range rules.Layers {
		if !present[p] {
			c.found(p, "is in the map of layers and not in the repository", "the map in internal/archtest/layers.go is the list of rooms; remove it there")
		}
	}
	slices.SortFunc(c.violations, func(a, b Violation) int {
		return cmp.Or(cmp.Compare(a.Where, b.Where), cmp.Compare(a.What, b.What))
	})
	return c.violations
}

type checker struct {
	rules      Rules
	violations []Violation
}

func (c *checker) found(where, what, why string) {
	c.violations = append(c.violations, Violation{where, what, why})
}

func (c *checker) checkPackage(p Package) {
	c.packageName(p)
	c.packageComment(p)
	layer, known := c.rules.Layers[p.Path]
	if !known {
		c.found(p.Path, "is not in the map of layers", "every room has a layer; add it in internal/archtest/layers.go")
	}
	for _, f := range p.Files {
		c.licence(f)
		if !known {
			continue
		}
		for _, spec := range f.Syntax.Imports {
			c.checkImport(p.Path, layer, f, spec)
		}
		if layer <= Decide && !f.Test {
			c.purity(f)
		}
	}
}

// bannedNames say nothing of what is in a package, so anything ends up there.
var bannedNames = []string{"util", "utils", "common", "helper", "helpers", "misc", "types", "base", "manager", "impl"}

func (c *checker) packageName(p Package) {
	for element := range strings.SplitSeq(p.Path, "/") {
		if slices.Contains(bannedNames, element) {
			c.found(p.Path, "is called "+element, "the name says nothing of what is in it, so anything ends up there; name it after its one job")
		}
	}
}

// packageComment wants exactly one file that says what the package is. A package of tests alone needs none.
func (c *checker) packageComment(p Package) {
	var with []string
	code := false
	for _, f := range p.Files {
		if f.Test {
			continue
		}
		code = true
		if f.Syntax.Doc != nil && !onlyDirectives(f.Syntax.Doc) {
			with = append(with, f.Name)
		}
	}
	switch {
	case code && len(with) == 0:
		c.found(p.Path, "has no package comment", "a package says what it is, what it leaves to others and who owns its goroutines")
	case len(with) > 1:
		c.found(p.Path, "has package comments in "+strings.Join(with, " and "), "one file says it; a reader of the other would miss half")
	}
}

func onlyDirectives(g *ast.CommentGroup) bool { return strings.TrimSpace(g.Text()) == "" }

const licenceLine = "// SPDX-License-Identifier: Apache-2.0\n\n"

func (c *checker) licence(f *File) {
	if !bytes.HasPrefix(f.Source, []byte(licenceLine)) {
		c.found(f.Name, "does not start with the licence line and a blank line", "every file says its licence: "+strings.TrimSpace(licenceLine))
	}
}

func (c *checker) checkImport(from string, layer Layer, f *File, spec *ast.ImportSpec) {
	imported, err := strconv.Unquote(spec.Path.Value)
	if err != nil {
		return // the compiler says so
	}
	if inner, ok := strings.CutPrefix(imported, c.rules.Module+"/"); ok {
		if !f.Test {
			c.direction(from, layer, f, spec, inner)
		}
		return
	}
	first, _, _ := strings.Cut(imported, "/")
	switch {
	case strings.Contains(first, "."):
		c.thirdParty(from, layer, f, spec, imported)
	case layer <= Decide && !f.Test && bannedForDeciders(imported):
		c.found(f.at(spec), "imports "+imported, "nouns and deciders are pure: values in, values out; what touches the world belongs in a doer")
	}
}

// direction checks an import within the module.
func (c *checker) direction(from string, layer Layer, f *File, spec *ast.ImportSpec, to string) {
	target, known := c.rules.Layers[to]
	switch {
	case !known, layer == Support, target < layer, target == layer && room(from) == room(to):
		return
	case target == Support:
		c.found(f.at(spec), "imports "+to, "it is for tests only; the product does not ship it")
	case target == layer:
		c.found(f.at(spec), "imports "+to+", sideways", "packages of one layer meet through function fields and one-method interfaces that cmd wires")
	default:
		c.found(f.at(spec), fmt.Sprintf("imports %s, upward (from layer %d to %d)", to, layer, target), "imports point strictly down")
	}
}

// room returns what a package is a part of: a room and its sub-rooms may import each other.
func room(p string) string {
	elements := strings.SplitN(p, "/", 3)
	if elements[0] == "cmd" || elements[0] == "internal" {
		return path.Join(elements[:min(2, len(elements))]...)
	}
	return elements[0]
}

func within(p, parent string) bool { return p == parent || strings.HasPrefix(p, parent+"/") }

// thirdParty checks an import of another module.
func (c *checker) thirdParty(from string, layer Layer, f *File, spec *ast.ImportSpec, imported string) {
	if layer == Support || f.Test && c.testMay(from, imported) {
		return
	}
	for module, owner := range c.rules.Owners {
		if !within(imported, module) {
			continue
		}
		switch {
		case owner.Room != "" && within(from, owner.Room), owner.Room == "" && layer >= owner.From:
		case owner.Room != "":
			c.found(f.at(spec), "imports "+imported, "its one owner is "+owner.Room+", so that it can be replaced in one place")
		default:
			c.found(f.at(spec), "imports "+imported, fmt.Sprintf("it is for layer %d and above", owner.From))
		}
		return
	}
	c.found(f.at(spec), "imports "+imported, "the module has no owner in internal/archtest/layers.go; add one, or do without")
}

func (c *checker) testMay(from, imported string) bool {
	if slices.ContainsFunc(c.rules.TestModules, func(m string) bool { return within(imported, m) }) {
		return true
	}
	for of, modules := range c.rules.Tests {
		if within(from, of) && slices.ContainsFunc(modules, func(m string) bool { return within(imported, m) }) {
			return true
		}
	}
	return false
}
