// SPDX-License-Identifier: Apache-2.0

package http1

import "meridian/proxy/strict"

// Refusal is a message that is not taken: see strict.Refusal. The connection it came on is closed.
type Refusal = strict.Refusal

// Limits bound a message's head: see strict.Limits.
type Limits = strict.Limits

func refuse(status int, format string, args ...any) *Refusal {
	return strict.Refuse(status, format, args...)
}

func clip(s string) string { return strict.Clip(s) }

func hexDigit(b byte) int { return strict.HexDigit(b) }

func parseLength(s string) (int64, bool) { return strict.ParseLength(s) }

func isName(a, b string) bool { return strict.SameName(a, b) }
