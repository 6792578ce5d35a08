// SPDX-License-Identifier: Apache-2.0

package http2

import (
	"strings"

	"golang.org/x/net/http2/hpack"

	"meridian/proxy/exchange"
	"meridian/proxy/strict"
)

// fields collects a header block. What is over the bounds is decoded, for the table's sake, and dropped.
type fields struct {
	limits strict.Limits
	list   []hpack.HeaderField
	cookie []string // crumbs: RFC 9113, section 8.2.3
	bytes  int
	over   bool
	plain  bool // a field that is no pseudo-header field has come
	late   bool // and after it one that is
}

func (f *fields) reset(l strict.Limits) {
	*f = fields{limits: l, list: f.list[:0], cookie: f.cookie[:0]}
}

// add is hpack's emit function.
func (f *fields) add(h hpack.HeaderField) {
	f.bytes += int(h.Size())
	if !strings.HasPrefix(h.Name, ":") {
		f.plain = true
	} else if f.plain {
		f.late = true
	}
	if f.over || f.bytes > f.limits.HeadBytes {
		f.over = true
		return
	}
	if h.Name == "cookie" && strict.IsValue(h.Value) {
		f.cookie = append(f.cookie, h.Value)
		return
	}
	if len(f.list) >= f.limits.Fields+4 { // the pseudo-header fields come on top
		f.over = true
		return
	}
	f.list = append(f.list, h)
}

// requestHead is a request as far as its head tells.
type requestHead struct {
	exchange.Request
	expects bool
}

// pseudo are the pseudo-header fields: RFC 9113, section 8.3.1.
type pseudo struct {
	method, scheme, authority, path string
	has                             [4]bool
}

// set takes one. It reports false for one that is unknown or there twice.
func (p *pseudo) set(name, value string) bool {
	var i int
	var to *string
	switch name {
	case ":method":
		i, to = 0, &p.method
	case ":scheme":
		i, to = 1, &p.scheme
	case ":authority":
		i, to = 2, &p.authority
	case ":path":
		i, to = 3, &p.path
	default:
		return false
	}
	if p.has[i] {
		return false
	}
	p.has[i], *to = true, value
	return true
}

// request reads a request's header block. ok is false for one that RFC 9113, section 8.1.1 calls malformed: its stream is
// reset. A refusal is answered.
func (f *fields) request(end bool) (h requestHead, ok bool, _ *strict.Refusal) {
	var p pseudo
	h.Length = exchange.LengthUnknown
	if end {
		h.Length = exchange.LengthNone
	}
	if f.over {
		return h, true, strict.Refuse(431, "more than %d header fields, or more than %d bytes of them", f.limits.Fields, f.limits.HeadBytes)
	}
	if f.late {
		return h, false, nil
	}
	h.Header = make(exchange.Header, 0, len(f.list)+1)
	for i := range f.list {
		name, value := f.list[i].Name, f.list[i].Value
		if strings.HasPrefix(name, ":") {
			if !strict.IsValue(value) || !p.set(name, value) {
				return h, false, nil
			}
			continue
		}
		if !h.field(name, value, end) {
			return h, false, nil
		}
	}
	if len(f.cookie) > 0 {
		h.Header.Add("cookie", strings.Join(f.cookie, "; "))
	}
	if len(h.Header) > f.limits.Fields {
		return h, true, strict.Refuse(431, "more than %d header fields", f.limits.Fields)
	}
	if !p.complete() {
		return h, false, nil
	}
	return h, true, h.line(&p, f.limits)
}

// lengthGiven reports whether a Content-Length field has been read.
func (h *requestHead) lengthGiven() bool { return h.Length >= 0 }

// field takes one that is no pseudo-header field. It reports false for what is malformed.
func (h *requestHead) field(name, value string, end bool) bool {
	if !fieldOK(name, value) {
		return false
	}
	if name != "content-length" {
		h.Header.Add(name, value)
		return true
	}
	n, ok := strict.ParseLength(value)
	if !ok || h.lengthGiven() || end && n != 0 {
		return false
	}
	h.Length = n
	return true
}

// fieldOK holds a field to RFC 9113, sections 8.2.1 and 8.2.2.
func fieldOK(name, value string) bool {
	if !strict.IsToken(name) || !strict.IsValue(value) {
		return false
	}
	for i := 0; i < len(name); i++ {
		if name[i] >= 'A' && name[i] <= 'Z' {
			return false
		}
	}
	switch name {
	case "connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade":
		return false
	case "te":
		return value == "trailers"
	}
	return true
}

// complete reports whether the pseudo-header fields are those that the method needs.
func (p *pseudo) complete() bool {
	if !p.has[0] || p.method == "" {
		return false
	}
	if p.method == "CONNECT" {
		return !p.has[1] && !p.has[3]
	}
	return p.has[1] && p.has[3] && p.path != ""
}

// line reads what HTTP/1.1 has in its first line and in Host, by the same policy.
func (h *requestHead) line(p *pseudo, l strict.Limits) (r *strict.Refusal) {
	h.Method = p.method
	if r := strict.Method(p.method); r != nil {
		return r
	}
	switch {
	case !strict.SameName(p.scheme, "http") && !strict.SameName(p.scheme, "https"):
		return strict.Refuse(400, "the scheme %q is not served", strict.Clip(p.scheme))
	case len(p.method)+len(p.path) > l.TargetBytes:
		return strict.Refuse(414, "the target is longer than %d bytes", l.TargetBytes)
	case p.path[0] != '/' && p.path != "*":
		return strict.Refuse(400, "the target %q is no path", strict.Clip(p.path))
	case p.has[2] && p.authority == "":
		return strict.Refuse(400, "the authority is empty")
	}
	if h.Target, h.Path, _, r = strict.ParseTarget(p.method, p.path); r != nil {
		return r
	}
	if h.Host, r = strict.TakeHost(&h.Header, p.authority, true); r != nil {
		return r
	}
	h.expects, r = strict.TakeExpect(&h.Header)
	return r
}

// trailer reads a header block behind a body.
func (f *fields) trailer() (out exchange.Header, ok bool) {
	if f.over || len(f.list)+len(f.cookie) > strict.MaxTrailers || f.bytes > strict.MaxTrailerBytes {
		return nil, false
	}
	for _, h := range f.list {
		if !fieldOK(h.Name, h.Value) || h.Name == "content-length" || h.Name == "te" {
			return nil, false // a pseudo-header field is no token
		}
		out.Add(h.Name, h.Value)
	}
	return out, true // cookies have no business here and are dropped
}
