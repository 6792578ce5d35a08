// SPDX-License-Identifier: Apache-2.0

// Package mcp holds what an edge must know of the Model Context Protocol over HTTP: which era a request belongs to, which
// session it names, whether it must stick to the worker of that session, what a response says about the session, and what
// an edge answers where it refuses.
//
// It reads heads only, but for IsInitialize. It has no socket, clock or goroutine. Which node is picked is balancer's,
// whether a worker is dead is health's, and relaying is proxy's.
//
//	c := mcp.Classify(method, path, header)
//	bound, known := sessions.Lookup(pool, c.SessionID, now)
//	switch a := c.Route(bound, known); a.Do { … }             // balance, stick to a.Node, or answer a.Refusal
//	e := c.Response(status, responseSessionID)                // what to sessions.Bind and sessions.Drop
//
// The eras are the specification's: Modern is 2026-07-28 and later (no sessions, every POST on its own), Legacy is all
// before it (sessions that stick to the worker which opened them).
package mcp

import (
	"strings"
)

// Era is the generation of the protocol that a request speaks.
type Era uint8

// The eras. Requests that no era claims (Plain, BadMethod) are Legacy.
const (
	Legacy Era = iota // up to 2025-11-25
	Modern            // from 2026-07-28
)

// String returns "legacy" or "modern".
func (e Era) String() string {
	if e == Modern {
		return "modern"
	}
	return "legacy"
}

// FirstModern is the first protocol version of the Modern era. Versions are dates and compare as strings.
const FirstModern = "2026-07-28"

// The header fields, as they are written in requests. Names compare without regard to case.
const (
	HeaderSession = "Mcp-Session-Id"
	HeaderVersion = "MCP-Protocol-Version"
)

// Kind is what a request is to a balancer.
type Kind uint8

// The kinds.
const (
	// Plain is not MCP's business, or no worker's state is in it: OPTIONS, HEAD, /.well-known/, server cards, a GET that
	// doesn't ask for events. It is balanced freely.
	Plain Kind = iota
	// Post carries one message (or, at 2025-03-26, a batch).
	Post
	// Stream is the GET that opens or resumes a session's event stream.
	Stream
	// Delete ends a session.
	Delete
	// BadMethod is refused: its Class has Err set.
	BadMethod
)

// String returns the kind in lower case, as in access logs.
func (k Kind) String() string {
	switch k {
	case Plain:
		return "plain"
	case Post:
		return "post"
	case Stream:
		return "stream"
	case Delete:
		return "delete"
	}
	return "bad-method"
}

// Header gives the fields of a request's head. Names are matched without regard to case.
type Header interface {
	// Get returns the value of a field, "" where there is none. Values of several fields of the name are joined by ", "
	// (RFC 9110, section 5.3).
	Get(name string) string
	// Count returns how many fields of the name there are.
	Count(name string) int
}

// Class is what the head of a request says.
type Class struct {
	Era  Era
	Kind Kind
	// SessionID is what a Legacy request names, valid, or "". It is a part of the head that Header gave: copy it to keep it
	// (Sessions.Bind does).
	SessionID string
	// Err is what to answer instead of forwarding the request, or nil.
	Err *Refusal
}

// Classify reads the head of a request on a route to an MCP pool. path is without query.
//
// A request is Modern if and only if it is a POST whose version is a well-formed date not before FirstModern; a version
// that is malformed is left to the worker. A Modern request's session header is ignored, as 2026-07-28 demands.
func Classify(method, path string, h Header) Class {
	switch {
	case method == "OPTIONS", method == "HEAD", wellKnown(path), method == "GET" && strings.HasSuffix(path, "/server-card"):
		return Class{Kind: Plain}
	case method == "POST" && h.Count(HeaderVersion) == 1 && modern(h.Get(HeaderVersion)):
		return Class{Era: Modern, Kind: Post}
	case method == "GET" && !acceptsEvents(h.Get("Accept")):
		return Class{Kind: Plain}
	case method != "POST" && method != "GET" && method != "DELETE":
		return Class{Kind: BadMethod, Err: badMethod}
	}
	return classifyLegacy(method, h)
}

func classifyLegacy(method string, h Header) Class {
	id := ""
	if n := h.Count(HeaderSession); n > 0 {
		if id = h.Get(HeaderSession); n > 1 || !ValidSessionID(id) {
			return Class{Kind: kindOf(method), Err: badSession}
		}
	}
	switch {
	case method == "GET" && id == "":
		return Class{Kind: BadMethod, Err: noStream}
	case method == "DELETE" && id == "":
		return Class{Kind: Delete, Err: noSession}
	}
	return Class{Kind: kindOf(method), SessionID: id}
}

func kindOf(method string) Kind {
	switch method {
	case "GET":
		return Stream
	case "DELETE":
		return Delete
	}
	return Post
}

// wellKnown reports whether the path lies below a well-known location (RFC 8615), at the root or, as some servers have it,
// below their own path.
func wellKnown(path string) bool { return strings.Contains(path, "/.well-known/") }

// modern reports whether v is a date, written YYYY-MM-DD, not before FirstModern.
func modern(v string) bool {
	if len(v) != len(FirstModern) || v < FirstModern {
		return false
	}
	for i := range len(v) {
		if dash := i == 4 || i == 7; dash != (v[i] == '-') || !dash && (v[i] < '0' || v[i] > '9') {
			return false
		}
	}
	month, day := v[5:7], v[8:10]
	return month >= "01" && month <= "12" && day >= "01" && day <= "31"
}

// acceptsEvents reports whether an Accept header (RFC 9110, section 12.5.1) names text/event-stream. A wildcard is not
// enough: plain clients send one.
func acceptsEvents(accept string) bool {
	for part := range strings.SplitSeq(accept, ",") {
		media, params, _ := strings.Cut(part, ";")
		if strings.EqualFold(strings.TrimSpace(media), "text/event-stream") {
			return !refusedByQuality(params)
		}
	}
	return false
}

// refusedByQuality reports whether the parameters hold a weight of zero, which means "not acceptable".
func refusedByQuality(params string) bool {
	for p := range strings.SplitSeq(params, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(p), "=")
		if strings.EqualFold(name, "q") {
			return value != "" && strings.Trim(value, "0.") == ""
		}
	}
	return false
}

// MaxSessionIDBytes bounds a session id. Ours: the specification has no bound; the ids of the SDKs have 26 to 64 bytes.
const MaxSessionIDBytes = 256

// ValidSessionID reports whether id is 1 to 256 bytes of visible ASCII, 0x21 to 0x7E, as 2025-11-25 demands.
func ValidSessionID(id string) bool {
	if len(id) == 0 || len(id) > MaxSessionIDBytes {
		return false
	}
	for i := range len(id) {
		if id[i] < 0x21 || id[i] > 0x7e {
			return false
		}
	}
	return true
}
