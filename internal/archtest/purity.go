// SPDX-License-Identifier: Apache-2.0

package archtest

import (
	"go/ast"
	"path"
	"slices"
	"strconv"
	"strings"
)

// bannedForDeciders reports whether a package of the standard library touches the world or is random.
func bannedForDeciders(imported string) bool {
	if imported == "net/netip" || imported == "net/url" {
		return false // values
	}
	for _, banned := range []string{"net", "os", "log", "syscall", "math/rand", "crypto/rand", "io/ioutil", "testing", "plugin"} {
		if within(imported, banned) {
			return true
		}
	}
	return false
}

// clock are the functions of package time that read the clock or wait.
var clock = []string{"Now", "Since", "Until", "After", "AfterFunc", "Sleep", "NewTimer", "NewTicker", "Tick"}

// purity finds goroutines and the clock in a decider.
func (c *checker) purity(f *File) {
	timeName := importName(f, "time")
	if timeName == "." {
		c.found(f.Name, "imports time with a dot", "the clock must be seen to be used")
	}
	ast.Inspect(f.Syntax, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			c.found(f.at(n), "starts a goroutine", "deciders have none; whoever writes go also waits, and that is a doer")
		case *ast.SelectorExpr:
			x, ok := n.X.(*ast.Ident)
			if ok && timeName != "" && x.Name == timeName && slices.Contains(clock, n.Sel.Name) {
				c.found(f.at(n), "uses time."+n.Sel.Name, "now is an argument, so that a test can choose it")
			}
		}
		return true
	})
}

// importName returns the name under which a file uses a package, or "".
func importName(f *File, imported string) string {
	for _, spec := range f.Syntax.Imports {
		if p, err := strconv.Unquote(spec.Path.Value); err != nil || p != imported {
			continue
		}
		if spec.Name != nil {
			return strings.TrimPrefix(spec.Name.Name, "_")
		}
		return path.Base(imported)
	}
	return ""
}
