// SPDX-License-Identifier: Apache-2.0

package http1

import (
	"bytes"
	"strings"

	"meridian/proxy/exchange"
	"meridian/proxy/strict"
)

// headFinder finds the end of a head in bytes that come in pieces, and refuses as early as it can: a client that sends
// bare line feeds must not be waited for until the head's timeout.
type headFinder struct {
	limits Limits
	seen   int // bytes already searched
	lines  int // complete lines among them
	start  int // where the line begins that is not complete yet
}

// find returns the length of the head at the front of b, the empty line included, or 0 if more bytes are needed.
func (f *headFinder) find(b []byte) (int, *Refusal) {
	for {
		i := bytes.IndexByte(b[f.seen:], '\n')
		if i < 0 {
			f.seen = len(b)
			return 0, f.tooLong(len(b))
		}
		end := f.seen + i + 1
		if end < 2 || b[end-2] != '\r' {
			return 0, refuse(400, "a line ends without CR")
		}
		line := b[f.start : end-2]
		f.seen, f.start = end, end
		if r := f.tooLong(end); r != nil {
			return 0, r
		}
		f.lines++
		switch {
		case len(line) == 0:
			return end, nil
		case f.lines == 1 && end > f.limits.TargetBytes:
			return 0, refuse(414, "the request line is longer than %d bytes", f.limits.TargetBytes)
		case f.lines-1 > f.limits.Fields:
			return 0, refuse(431, "more than %d header fields", f.limits.Fields)
		}
	}
}

func (f *headFinder) tooLong(n int) *Refusal {
	switch {
	case f.lines == 0 && n > f.limits.TargetBytes:
		return refuse(414, "the request line is longer than %d bytes", f.limits.TargetBytes)
	case n > f.limits.HeadBytes:
		return refuse(431, "the head is longer than %d bytes", f.limits.HeadBytes)
	}
	return nil
}

// scanHead splits a complete head into its first line and its fields, which it appends to fields, and holds every byte
// to the grammar of RFC 9112, sections 2 to 5, without the tolerance that those sections allow a recipient.
func scanHead(head string, fields exchange.Header) (first string, _ exchange.Header, _ *Refusal) {
	first, rest, r := cutLine(head)
	if r != nil {
		return "", fields, r
	}
	fields, r = scanFields(rest, fields)
	return first, fields, r
}

// scanFields reads field lines up to the empty line that must end b.
func scanFields(b string, fields exchange.Header) (exchange.Header, *Refusal) {
	for {
		line, rest, r := cutLine(b)
		if r != nil {
			return fields, r
		}
		if line == "" {
			return fields, nil
		}
		f, r := scanField(line)
		if r != nil {
			return fields, r
		}
		fields, b = append(fields, f), rest
	}
}

// cutLine takes one line that ends in CRLF.
func cutLine(b string) (line, rest string, _ *Refusal) {
	i := strings.IndexByte(b, '\n')
	if i < 1 || b[i-1] != '\r' {
		return "", "", refuse(400, "a line does not end in CRLF")
	}
	return b[:i-1], b[i+1:], nil
}

func scanField(line string) (exchange.Field, *Refusal) {
	if line[0] == ' ' || line[0] == '\t' {
		return exchange.Field{}, refuse(400, "a folded header line") // RFC 9112, section 5.2
	}
	i := 0
	for i < len(line) && strict.TokenByte[line[i]] {
		i++
	}
	if i == 0 || i == len(line) || line[i] != ':' {
		return exchange.Field{}, refuse(400, "the field line %q has no valid name", clip(line))
	}
	value := strings.Trim(line[i+1:], " \t")
	for j := 0; j < len(value); j++ {
		if !strict.ValueByte[value[j]] {
			return exchange.Field{}, refuse(400, "the value of %s has the control byte %#02x", clip(line[:i]), value[j])
		}
	}
	return exchange.Field{Name: line[:i], Value: value}, nil
}
