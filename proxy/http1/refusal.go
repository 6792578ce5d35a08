// SPDX-License-Identifier: Apache-2.0

package http1

import "fmt"

// Refusal is a message that is not taken: what is wrong with it, and the status that a request is answered with. The
// connection it came on is closed. For a node's answer the status has no meaning.
type Refusal struct {
	Status int
	Reason string
}

// Error implements error.
func (r *Refusal) Error() string { return r.Reason }

func refuse(status int, format string, args ...any) *Refusal {
	return &Refusal{status, fmt.Sprintf(format, args...)}
}

// clip bounds what a reason repeats of a stranger's bytes.
func clip(s string) string {
	if len(s) > 40 {
		return s[:40] + "…"
	}
	return s
}
