// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"strings"
	"testing"
)

func TestAHostNameBecomesItsLabels(t *testing.T) {
	for host, want := range map[string]string{
		"":              "",
		"a":             "\x01a",
		"us.east-1":     "\x02us\x06east-1",
		"mcp.edge.test": "\x03mcp\x04edge\x04test",
	} {
		if got, ok := AppendLabels(nil, host); !ok || string(got) != want {
			t.Errorf("%q: got %q, %v", host, got, ok)
		}
	}
	for _, host := range []string{".", "a.", ".a", "a..b", strings.Repeat("a", 64)} {
		if got, ok := AppendLabels(nil, host); ok {
			t.Errorf("%q: got %q, want none", host, got)
		}
	}
}

func TestOnlyASCIILettersFold(t *testing.T) {
	if got, want := string(AppendLower(nil, []byte("\x05A[z`\xc0\x00"))), "\x05a[z`\xc0\x00"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
