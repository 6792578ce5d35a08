// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"testing"
	"time"

	"meridian/config"
	"meridian/health/probe"
	"meridian/topology"
)

func TestAnEdgeChecksItsRegionsNodesAndTheOtherEdges(t *testing.T) {
	snap := world(t, 1, peer("edge-a", nil), peer("edge-b", nil), peer("edge-c", nil))
	snap.Edge("edge-a").Admin, snap.Edge("edge-b").Admin = "192.0.2.97:9090", "192.0.2.98:9090"
	s := &server{cfg: &config.Edge{Name: "edge-a", Region: "a"}}
	targets, settings := s.targets(snap, planOf(snap, snap.Edges))
	if len(targets) != 2 || len(settings) != 2 {
		t.Fatalf("got %+v; want n-a and edge-b: edge-c says no admin address", targets)
	}
	if n := targets[0]; n.ID != "n-a" || n.Kind != probe.Node || n.Address != "127.0.0.1:1" || settings["n-a"].Group != "mcp/a" {
		t.Errorf("node: %+v, %+v", n, settings["n-a"])
	}
	if e := targets[1]; e.ID != "edge/edge-b" || e.Kind != probe.Edge || e.Address != "192.0.2.98:9090" || settings[e.ID].Group != "" {
		t.Errorf("edge: %+v, %+v", e, settings[e.ID])
	}
}

// TestADeadEdgeIsOutInTime holds the arithmetic of the three seconds: an interval to the first failing check, a time-out,
// the fast interval to the next, another time-out, with the prober's jitter of a tenth.
func TestADeadEdgeIsOutInTime(t *testing.T) {
	worst := edgeInterval*11/10 + (edgeFall-1)*edgeFastInterval*11/10 + edgeFall*edgeTimeout
	if worst > 2900*time.Millisecond {
		t.Errorf("an edge that hangs is out after %s", worst)
	}
}

func TestTheOwnRegionComesFirstThenTheNearest(t *testing.T) {
	snap := world(t, 1)
	for own, want := range map[topology.RegionID]string{"a": "[a b c]", "b": "[b a c]", "c": "[c a b]", "nowhere": "[nowhere a b c]"} {
		if got := fmt.Sprint(regionOrder(snap, own)); got != want {
			t.Errorf("from %s: got %s; want %s", own, got, want)
		}
	}
}
