// SPDX-License-Identifier: Apache-2.0

// Package strict holds the checks of a request's head that all engines (proxy/http1, proxy/http2, proxy/http3) apply: which
// methods, targets, hosts, field names and values pass, and the limits. One policy: what one protocol refuses, none lets in.
//
// It is pure: bytes in, a verdict out. It leaves to the engines how a head is read from the wire and how a refusal is said.
//
//	origin, path, authority, refusal := strict.ParseTarget("GET", "/a?b")
package strict

import "fmt"

// Refusal is a message that is not taken: what is wrong with it, and the status that a request is answered with. The
// connection it came on is closed. For a node's answer the status has no meaning.
type Refusal struct {
	Status int
	Reason string
}

// Error implements error.
func (r *Refusal) Error() string { return r.Reason }

// Refuse makes a Refusal. Strangers' bytes among the arguments should go through Clip.
func Refuse(status int, format string, args ...any) *Refusal {
	return &Refusal{status, fmt.Sprintf(format, args...)}
}

// Clip bounds what a reason repeats of a stranger's bytes.
func Clip(s string) string {
	if len(s) > 40 {
		return s[:40] + "…"
	}
	return s
}
