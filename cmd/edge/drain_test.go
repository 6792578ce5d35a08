// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"
	"strings"
	"testing"
	"time"

	"meridian/topology"
)

// TestTheNoteSaysUntilWhenTheLastRegionServes: what is cut at a deadline is not picked any more, even where nothing else can be.
func TestTheNoteSaysUntilWhenTheLastRegionServes(t *testing.T) {
	set := topology.Set{}
	set.Put(&topology.Region{Name: "a"})
	set.Put(&topology.Pool{Name: "web", Protocol: topology.ProtocolHTTP})
	set.Put(&topology.Node{Name: "n-a", Pool: "web", Region: "a", Address: "127.0.0.1:1"})
	const goesOn, until = "the nodes of region/a go on taking its work", "until the deadline, and then edges answer 503"
	for _, at := range []time.Time{{}, time.Now().Add(time.Hour)} {
		notes := whatIsLeft(set, &topology.Drain{Name: "region/a", Created: time.Now(), Deadline: at})
		i := slices.IndexFunc(notes, func(n string) bool { return strings.Contains(n, goesOn) })
		if i < 0 || strings.Contains(notes[i], until) == at.IsZero() {
			t.Errorf("deadline %s: got %q", at, notes)
		}
	}
	if notes := whatIsLeft(set, &topology.Drain{Name: "node/n-a", Created: time.Now()}); len(notes) != 1 || !strings.Contains(notes[0], "edges answer 503") {
		t.Errorf("of the last node: got %q", notes)
	}
}
