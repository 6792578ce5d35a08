// SPDX-License-Identifier: Apache-2.0

// Package config turns the bytes of an edge's configuration and of topology files into checked values, and names every
// mistake at once with its file, line, column and field. It also writes values as YAML, and holds the reference page.
//
// It reads no file, flag or environment variable and starts no goroutine: that, and what an option does, is for cmd/edge.
// What a resource of a topology may hold is the business of package topology; this package adds where it stands.
//
//	edge, problems := config.ParseEdge("edge.yaml", bytes)
//	for _, p := range problems {
//		fmt.Fprintln(os.Stderr, p) // edge.yaml:12:7: http.listen[0]: "8080" is not …
//	}
package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// Problem is one mistake in a file, with its place.
type Problem struct {
	File string `json:"file,omitempty"`
	// Line and Column count from 1. Zero: the mistake is not in the file, but in what the file does not hold.
	Line   int `json:"line,omitempty"`
	Column int `json:"column,omitempty"`
	// Field is the path of the field, as in "http.listen[0]". Empty: the whole file.
	Field string `json:"field,omitempty"`
	// Message says what is there and what is wanted.
	Message string `json:"message"`
}

// Error implements error: "edge.yaml:12:7: http.listen[0]: …".
func (p Problem) Error() string {
	var b strings.Builder
	if p.File != "" {
		b.WriteString(p.File)
		if p.Line > 0 {
			fmt.Fprintf(&b, ":%d", p.Line)
		}
		if p.Line > 0 && p.Column > 0 {
			fmt.Fprintf(&b, ":%d", p.Column)
		}
		b.WriteString(": ")
	}
	if p.Field != "" {
		b.WriteString(p.Field + ": ")
	}
	b.WriteString(p.Message)
	return b.String()
}

// maxProblems bounds what one file's report holds. Ours: nobody reads more, and each costs memory.
const maxProblems = 1000

// report collects the problems of one file.
type report struct {
	file    string
	found   []Problem
	dropped bool
}

func (r *report) add(line, column int, field, format string, args ...any) {
	if r.full() {
		r.dropped = true
		return
	}
	r.found = append(r.found, Problem{r.file, line, column, field, strings.Map(visible, fmt.Sprintf(format, args...))})
}

// visible replaces what a terminal or a log would obey, since messages repeat what stands in the file.
func visible(c rune) rune {
	if unicode.IsControl(c) || unicode.Is(unicode.Bidi_Control, c) || c == 0x2028 || c == 0x2029 {
		return '?'
	}
	return c
}

// full says that nothing more is taken, so that whoever looks for mistakes may stop.
func (r *report) full() bool { return len(r.found) >= maxProblems }

// problems returns what was found in the order of the file, or nil.
func (r *report) problems() []Problem {
	slices.SortStableFunc(r.found, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column), cmp.Compare(a.Field, b.Field), cmp.Compare(a.Message, b.Message))
	})
	if r.dropped {
		last := r.found[len(r.found)-1]
		r.found = append(r.found, Problem{File: r.file, Line: last.Line, Message: "there are more mistakes, which are not shown"})
		r.dropped = false
	}
	return r.found
}

// clip bounds what a message repeats of the file.
func clip(s string) string {
	if len(s) > 80 {
		return strings.ToValidUTF8(s[:80], "") + "…"
	}
	return s
}
