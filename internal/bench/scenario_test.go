// SPDX-License-Identifier: Apache-2.0

package main

import "testing"

func TestWrksReportIsRead(t *testing.T) {
	o, err := parseWrk("Running 1s test\nresult 5000 1 2000000 900 7000 12000\n")
	if want := (outcome{5000, 1, 2, 900, 7000, 12000}); err != nil || o != want {
		t.Errorf("got %+v, %v, want %+v", o, err, want)
	}
	for _, bad := range []string{"", "result 1 2\n", "result 0 0 1 0 0 0\n", "result 100 50 1000000 1 1 1\n"} {
		if o, err := parseWrk(bad); err == nil {
			t.Errorf("%q gave %+v", bad, o)
		}
	}
}

func TestASpreadHasMedianLeastAndMost(t *testing.T) {
	if got, want := spreadOf([]float64{3, 1, 2, 10}), (spread{2.5, 1, 10}); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}
