// SPDX-License-Identifier: Apache-2.0

package probes

import "testing"

func TestEveryProbeHasANameOfItsOwn(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range Refused() {
		if seen[p.Bytes] {
			t.Errorf("%s: its bytes are there twice", p.Name)
		}
		seen[p.Bytes] = true
	}
	if len(seen) < 300 {
		t.Errorf("%d probes; some group is gone", len(seen))
	}
	t.Logf("%d probes are refused, %d taken", len(seen), len(Taken()))
}
