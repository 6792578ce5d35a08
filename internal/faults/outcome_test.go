// SPDX-License-Identifier: Apache-2.0

package main

import (
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestWhatWentWrongIsCounted joins a clients' log with journals in which everything has gone wrong once.
func TestWhatWentWrongIsCounted(t *testing.T) {
	dir := t.TempDir()
	did := map[uint64]executions{}
	for node, records := range map[string][]struct {
		id  uint64
		end bool
	}{
		"n1": {{100, false}, {100, true}, {101, false}, {102, false}, {104, false}},
		"n2": {{101, false}, {101, true}, {102, false}, {102, true}, {103, false}, {103, true}},
	} {
		path := filepath.Join(dir, node)
		j, err := openJournal(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range records {
			if err := j.note(r.id, r.end); err != nil {
				t.Fatal(err)
			}
		}
		j.file.Close()
		if err := readJournal(path, node, did); err != nil {
			t.Fatal(err)
		}
	}
	const second = time.Second
	o := &outcome{fault: killed, spells: []spell{{node: "n1", from: second, to: 2 * second}}, found: []time.Duration{10 * time.Millisecond}, requests: []request{
		{v: well, due: 0, took: 1},                                                      // 100
		{v: well, post: true, due: second, took: 5 * time.Millisecond},                  // 101 ran on both
		{v: gateway, status: 502, due: second, took: 1},                                 // 102 may be repeated
		{v: gateway, status: 502, post: true, due: second, took: 1},                     // 103 was finished, and it failed
		{v: broken, post: true, due: 3 * second, took: 1},                               // 104 long after
		{v: pretended, status: 200, due: second, took: 1}, {v: unbegun}, {v: cancelled}, // 105 to 107
	}}
	o.join(100, did)
	if o.repeatable != 2 || o.others != 2 || o.inFlight != 2 || o.astray != 1 || o.duplicates != 1 || o.pretended != 1 || o.unsent != 1 || o.lost != 1 {
		t.Errorf("counted %+v", o)
	}
	wrong := strings.Join(append(repeatableHold(o), always(o)...), "\n")
	for _, want := range []string{"2 requests failed that may be repeated", "1 POSTs failed that were not under way", "1 POSTs were executed more than once", "1 answers were not whole", "1 requests were never sent"} {
		if !strings.Contains(wrong, want) {
			t.Errorf("%q is not said in\n%s", want, wrong)
		}
	}
	if length, failover := o.window(); length != 0 || failover != 0 {
		t.Errorf("failures over %s, until %s after the fault; want none of both: all came at once", length, failover)
	}
	if on := o.requests[1].on; len(on) != 2 || o.picked("n1", 0, 2*second) != 3 || o.picked("n2", second, second+1) != 3 {
		t.Errorf("request 101 was at %q, and others not where they were", on)
	}
}

func TestAFifthOfTheRequestsIsPOST(t *testing.T) {
	for seed := range uint64(5) {
		n := 0
		for i := range uint64(10_000) {
			if isPost(seed, i) {
				n++
			}
		}
		if n < 1800 || n > 2200 {
			t.Errorf("seed %d: %d of 10000", seed, n)
		}
	}
}
