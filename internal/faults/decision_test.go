// SPDX-License-Identifier: Apache-2.0

package main

import (
	"testing"
	"time"
)

// TestADecisionIsReadFromWhatAProxyPrints has each proxy take node n1 out, and the edge and HAProxy take it back.
func TestADecisionIsReadFromWhatAProxyPrints(t *testing.T) {
	start := time.Unix(1000, 0)
	n1 := &backend{name: "n1", addr: "127.1.0.1:7"}
	for kind, say := range map[string][2]string{
		"edge":    {`time=x level=INFO msg=health of=n1 state=down reason="2 checks"`, `time=x level=INFO msg=health of=n1 state=up reason="2 checks"`},
		"HAProxy": {"Server nodes/n1 is DOWN, reason: Layer7 timeout", "Server nodes/n1 is UP, reason: Layer7 check passed"},
		"nginx":   {`[warn] 7#7: *1 upstream server temporarily disabled while reading response header from upstream, client: 127.0.0.1, upstream: "http://127.1.0.1:7/r/1", host: "a.test"`, "nothing"},
	} {
		x := &proxy{kind: kind, proc: &process{lines: []line{
			{start, "Server nodes/n2 is DOWN and state=down of=n2"}, {start.Add(2 * time.Second), say[0]}, {start.Add(4 * time.Second), say[1]},
		}}}
		if at := x.decision(n1, start.Add(time.Second)); !at.Equal(start.Add(2 * time.Second)) {
			t.Errorf("%s: it was out at %v; want 2 s after the start", kind, at)
		}
		from := start.Add(3 * time.Second)
		if at := x.decision(n1, from); kind != "nginx" && !at.Equal(from) || kind == "nginx" && !at.IsZero() {
			t.Errorf("%s: it was out before, and is said to be at %v", kind, at)
		}
		if at := x.decision(n1, start.Add(5*time.Second)); !at.IsZero() {
			t.Errorf("%s: it was back, and is said to be out at %v", kind, at)
		}
	}
}

// TestAFlapIsCountedOncePerStep has a node refused, found down and taken back, twice, of which once before the load.
func TestAFlapIsCountedOncePerStep(t *testing.T) {
	start := time.Unix(1000, 0)
	n1 := &backend{name: "n1", addr: "127.1.0.1:7"}
	var lines []line
	for i, state := range []string{"refused", "down", "up", "refused", "suspect", "down", "half-open", "ejected", "up"} {
		lines = append(lines, line{start.Add(time.Duration(i-3) * time.Second), "level=INFO msg=health of=n1 state=" + state + " reason=x"},
			line{start.Add(time.Duration(i-3) * time.Second), "level=INFO msg=health of=n2 state=down reason=x"})
	}
	r := &run{start: start, spells: []spell{{node: "n1"}}, site: &site{nodes: []*backend{n1}, proxy: &proxy{kind: "edge", proc: &process{lines: lines}}}}
	o := &outcome{}
	o.watchFirst(r)
	if o.left != 2 || o.back != 2 || o.verdicts != 2 {
		t.Errorf("out %d times, back %d times, %d verdicts; want 2 of each", o.left, o.back, o.verdicts)
	}
	for d, want := range map[time.Duration]int{time.Second: 2, 2 * time.Second: 3, 5 * time.Second: 3, 6 * time.Second: 4, 14 * time.Second: 5} {
		if got := stepsWithin(d); got != want {
			t.Errorf("%d steps within %s; want %d", got, d, want)
		}
	}
}
