// SPDX-License-Identifier: Apache-2.0

package health_test

import (
	"strings"
	"testing"

	"meridian/health"
	"meridian/topology"
)

// views reads edges as "NAME@REGION STANDING [leaving] [up=N/M] [says=OTHER:VERDICT]", one a line.
func views(t *testing.T, text string) []health.EdgeView {
	t.Helper()
	states := map[string]health.State{"unknown": health.Unknown, "up": health.Up, "suspect": health.Suspect, "down": health.Down, "ejected": health.Ejected, "half-open": health.HalfOpen}
	var out []health.EdgeView
	for line := range strings.SplitSeq(strings.TrimSpace(text), "\n") {
		words := strings.Fields(line)
		name, region, _ := strings.Cut(words[0], "@")
		state, ok := states[words[1]]
		if !ok {
			t.Fatalf("%q is no state", words[1])
		}
		v := health.EdgeView{Edge: &topology.Edge{Name: topology.EdgeID(name), Region: topology.RegionID(region)}, Standing: state}
		if state == health.Down {
			v.Reason = "connect refused"
		}
		for _, w := range words[2:] {
			if w == "leaving" {
				v.Edge.Leaving = true
				continue
			}
			if v.Report == nil {
				v.Report = &topology.Report{Pools: map[topology.PoolID]topology.PoolView{}, Edges: map[topology.EdgeID]string{}}
			}
			if up, ok := strings.CutPrefix(w, "up="); ok {
				v.Report.Pools["mcp"] = topology.PoolView{Up: int(up[0] - '0'), Total: int(up[2] - '0')}
			}
			if says, ok := strings.CutPrefix(w, "says="); ok {
				other, verdict, _ := strings.Cut(says, ":")
				v.Report.Edges[topology.EdgeID(other)] = verdict
			}
		}
		out = append(out, v)
	}
	return out
}

func TestARegionCanServeIfAnEdgeAndANodeCan(t *testing.T) {
	for _, c := range []struct {
		name, edges string
		ok          bool
		reason      string
		usable      string
	}{
		{"all is well", "eu-1@eu up up=2/2", true, "2 of 2 nodes up, 1 edge up", "eu-1"},
		{"a region without edges", "us-1@us up up=2/2", false, "the region has no edge", ""},
		{"an edge that has not reported counts as able", "eu-1@eu unknown", true, "nodes not reported yet, 1 edge up", "eu-1"},
		{"an edge that is ending is down, however it stands", "eu-1@eu up leaving up=2/2", false, "edge eu-1: it is ending", "eu-1"},
		{"an edge that is ending leaves its work to the other", "eu-1@eu up leaving up=2/2\neu-2@eu up up=2/2", true, "2 of 2 nodes up, 1 of 2 edges up", "eu-2"},
		{"the only edge is down", "eu-1@eu down up=2/2", false, "edge eu-1: connect refused", "eu-1"},
		{"an edge that is ejected is down", "eu-1@eu ejected up=2/2", false, "edge eu-1: ejected", "eu-1"},
		{"doubt is not enough", "eu-1@eu suspect up=2/2", true, "2 of 2 nodes up, 1 edge up", "eu-1"},
		{"half-open is up", "eu-1@eu half-open up=1/2", true, "1 of 2 nodes up, 1 edge up", "eu-1"},
		{"one of two edges is down", "eu-1@eu down up=2/2\neu-2@eu up up=2/2", true, "2 of 2 nodes up, 1 of 2 edges up", "eu-2"},
		{"no node is up", "eu-1@eu up up=0/2\neu-2@eu up up=0/2", false, "no node of pool mcp is up", "eu-1,eu-2"},
		{"a report without the pool says that none is up", "eu-1@eu up says=us-1:down", false, "no node of pool mcp is up", "eu-1"},
		{"one edge sees a node, the other does not", "eu-1@eu up up=0/2\neu-2@eu up up=1/2", true, "1 of 2 nodes up, 2 edges up", "eu-2"},
		{"the report of an edge that is down does not count", "eu-1@eu down up=2/2\neu-2@eu up up=0/2", false, "no node of pool mcp is up", "eu-2"},
		{"another edge says that an unknown one is down", "eu-1@eu unknown up=2/2\nus-1@us up up=2/2 says=eu-1:down", false, "edge eu-1: edge us-1 says down", "eu-1"},
		{"another edge's doubt does not count", "eu-1@eu unknown up=2/2\nus-1@us up says=eu-1:suspect", true, "2 of 2 nodes up, 1 edge up", "eu-1"},
		{"an edge that is down itself is no witness", "eu-1@eu unknown up=2/2\nus-1@us down says=eu-1:down", true, "2 of 2 nodes up, 1 edge up", "eu-1"},
		{"the own checks weigh more than another's", "eu-1@eu up up=2/2\nus-1@us up says=eu-1:down", true, "2 of 2 nodes up, 1 edge up", "eu-1"},
		{"an edge is no witness against itself", "eu-1@eu unknown up=1/1 says=eu-1:down", true, "1 of 1 nodes up, 1 edge up", "eu-1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			ok, reason, usable := health.CanServe("eu", "mcp", views(t, c.edges))
			var names []string
			for _, e := range usable {
				names = append(names, string(e.Name))
			}
			if got := strings.Join(names, ","); ok != c.ok || reason != c.reason || got != c.usable {
				t.Errorf("got %v %q %s; want %v %q %s", ok, reason, got, c.ok, c.reason, c.usable)
			}
		})
	}
}

func TestAVerdictInAReportIsReadBack(t *testing.T) {
	edges := views(t, "eu-1@eu unknown up=2/2\nus-1@us up up=2/2")
	edges[1].Report.Edges["eu-1"] = health.Verdict{State: health.Down, Reason: "connect refused"}.Brief()
	ok, reason, _ := health.CanServe("eu", "mcp", edges)
	if want := "edge eu-1: edge us-1 says down: connect refused"; ok || reason != want {
		t.Errorf("got %v %q; want %q", ok, reason, want)
	}
}
