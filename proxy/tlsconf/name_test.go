// SPDX-License-Identifier: Apache-2.0

package tlsconf

import (
	"regexp"
	"strings"
	"testing"
)

var hostName = regexp.MustCompile(`^(([A-Za-z0-9_-]{1,63}\.)*[A-Za-z0-9_-]{1,63})?$`)

// FuzzServerName compares what is taken as a server name with RFC 1035's form of one.
func FuzzServerName(f *testing.F) {
	for _, s := range []string{"", "a.test", "A_b-c.test", "a..test", ".a", "a.", "a\x00b", "ü", strings.Repeat("x", 63), strings.Repeat("x", 64), strings.Repeat("x.", 126) + "x", strings.Repeat("x.", 127)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if got, want := isHostName(s), len(s) <= 253 && hostName.MatchString(s) && !strings.HasSuffix(s, "\n"); got != want {
			t.Errorf("%q: got %v, want %v", s, got, want)
		}
	})
}
