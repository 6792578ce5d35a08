// SPDX-License-Identifier: Apache-2.0

// Package archtest holds the rules of the repository's architecture, and checks them: which layer a package is in and
// what it may import, that deciders decide only, who owns a third-party module, and that every package says what it is.
// ARCHITECTURE.md gives the reasons at length; every violation gives its own in a line.
//
// Its test runs in `go test ./...`. It reads the source of the checkout and nothing else, and starts no goroutine.
//
//	packages, err := archtest.Load("../..")
//	for _, v := range archtest.Check(packages, archtest.Meridian) {
//		t.Error(v)
//	}
package archtest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Package is one Go package of the module, with the files for every platform.
type Package struct {
	Path  string // below the module, as in "proxy/http1"
	Files []*File
}

// File is one parsed Go file.
type File struct {
	Name   string // below the module, as in "proxy/http1/server.go"
	Test   bool   // a _test.go file
	Source []byte
	Syntax *ast.File
	set    *token.FileSet
}

// ParseFile parses the source of one file.
func ParseFile(name string, source []byte) (*File, error) {
	set := token.NewFileSet()
	syntax, err := parser.ParseFile(set, name, source, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	return &File{Name: name, Test: strings.HasSuffix(name, "_test.go"), Source: source, Syntax: syntax, set: set}, nil
}

// at names the place of a node: "balancer/pick.go:12".
func (f *File) at(n ast.Node) string {
	p := f.set.Position(n.Pos())
	return fmt.Sprintf("%s:%d", p.Filename, p.Line)
}

// Load returns the packages of the module whose root is the folder.
func Load(root string) ([]Package, error) {
	cmd := exec.Command("go", "list", "-e", "-json=ImportPath,Dir,Module", "./...")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	var packages []Package
	for dec := json.NewDecoder(bytes.NewReader(out)); dec.More(); {
		var listed struct {
			ImportPath, Dir string
			Module          struct{ Path string }
		}
		if err := dec.Decode(&listed); err != nil {
			return nil, fmt.Errorf("go list: %w", err)
		}
		path := strings.TrimPrefix(strings.TrimPrefix(listed.ImportPath, listed.Module.Path), "/")
		p, err := load(path, listed.Dir)
		if err != nil {
			return nil, err
		}
		packages = append(packages, p)
	}
	return packages, nil
}

// load parses every Go file of a folder, those for other platforms too, which go list leaves out.
func load(path, dir string) (Package, error) {
	p := Package{Path: path}
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return p, err
	}
	for _, name := range files {
		source, err := os.ReadFile(name)
		if err != nil {
			return p, err
		}
		f, err := ParseFile(filepath.ToSlash(filepath.Join(path, filepath.Base(name))), source)
		if err != nil {
			return p, err
		}
		p.Files = append(p.Files, f)
	}
	return p, nil
}
