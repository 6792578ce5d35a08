// SPDX-License-Identifier: Apache-2.0

package config

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// Bounds of an input. Ours: 64 MiB hold the 100,000 names and 10,000 nodes that the design asks for several times over;
// nothing that we read nests deeper than five.
const (
	maxEdgeBytes     = 1 << 20
	maxTopologyBytes = 64 << 20
	maxDepth         = 32
	maxDocuments     = 10_000
)

// documents parses b into the root values of its YAML documents, without empty ones. Only the plain part of YAML is
// taken: anchors, aliases, merge keys and tags make a file mean something other than what stands at a line.
func (r *report) documents(b []byte, maxBytes int) []*yaml.Node {
	if len(b) > maxBytes {
		r.add(1, 1, "", "the file has %d bytes; at most %d", len(b), maxBytes)
		return nil
	}
	if !r.readable(b) {
		return nil
	}
	var roots []*yaml.Node
	for dec := yaml.NewDecoder(bytes.NewReader(b)); ; {
		var doc yaml.Node
		err := dec.Decode(&doc)
		if errors.Is(err, io.EOF) {
			return roots
		}
		if err != nil {
			r.syntax(b, err)
			return nil
		}
		root := doc.Content[0]
		if !r.plain(root, 0) {
			return nil
		}
		if !isNull(root) {
			roots = append(roots, root)
		}
		if len(roots) > maxDocuments {
			r.add(root.Line, root.Column, "", "more than %d YAML documents", maxDocuments)
			return nil
		}
	}
}

// readable checks the characters of b as YAML 1.2.2, section 5.1 allows them. The decoder does so too, but names no line.
func (r *report) readable(b []byte) bool {
	b = bytes.TrimPrefix(b, []byte("\xef\xbb\xbf"))
	for i := 0; i < len(b); {
		c, size := utf8.DecodeRune(b[i:])
		if (c == utf8.RuneError && size == 1) || !allowed(c) {
			line := 1 + bytes.Count(b[:i], []byte{'\n'})
			column := 1 + utf8.RuneCount(b[bytes.LastIndexByte(b[:i], '\n')+1:i])
			r.add(line, column, "", "a character is not text in UTF-8 (byte 0x%02x); remove it", b[i])
			return false
		}
		i += size
	}
	return true
}

func allowed(c rune) bool {
	switch {
	case c == '\t', c == '\n', c == '\r', c == 0x85:
		return true
	case c < ' ', c >= 0x7f && c < 0xa0, c == 0xfeff, c == 0xfffe, c == 0xffff:
		return false
	}
	return true
}

var (
	lineOf   = regexp.MustCompile(`^yaml: line (\d+): `)
	anchorOf = regexp.MustCompile(`unknown anchor '([^']*)'`)
)

// syntax reports the decoder's error at its line.
func (r *report) syntax(b []byte, err error) {
	message := strings.TrimPrefix(err.Error(), "yaml: ")
	line := 1
	if m := lineOf.FindStringSubmatch(err.Error()); m != nil {
		line, _ = strconv.Atoi(m[1])
		message = strings.TrimPrefix(err.Error(), m[0])
		if strings.HasPrefix(message, "did not find expected") {
			line++ // the decoder counts lines from 0 in errors of its parser, from 1 in those of its scanner
		}
	} else if m := anchorOf.FindStringSubmatch(message); m != nil {
		before, _, _ := bytes.Cut(b, []byte("*"+m[1]))
		line = 1 + bytes.Count(before, []byte{'\n'})
		message = aliasMessage
	}
	line = max(1, min(line, 1+bytes.Count(b, []byte{'\n'})))
	r.add(line, 1, "", "not YAML: %s", clip(message))
}

const aliasMessage = "anchors and aliases are not taken; write the value out"

// plain reports whether the tree keeps to the plain part of YAML and to maxDepth, and notes what does not.
func (r *report) plain(n *yaml.Node, depth int) bool {
	switch {
	case depth > maxDepth:
		r.add(n.Line, n.Column, "", "nested deeper than %d", maxDepth)
		return false
	case n.Kind == yaml.AliasNode, n.Anchor != "":
		r.add(n.Line, n.Column, "", aliasMessage)
		return false
	case n.Style&yaml.TaggedStyle != 0:
		r.add(n.Line, n.Column, "", "the tag %s is not taken; remove it", clip(n.Tag))
		return false
	}
	ok := true
	for i, child := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 0 && child.Kind == yaml.ScalarNode && child.Value == "<<" && child.Style == 0 {
			r.add(child.Line, child.Column, "", "merge keys are not taken; write the fields out")
			ok = false
			continue
		}
		ok = r.plain(child, depth+1) && ok
	}
	return ok
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }
