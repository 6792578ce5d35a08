// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"meridian/topology"
)

func TestAFileThatTurnsBadIsStaleAndStaysInUse(t *testing.T) {
	s := wired(t, edgeConfig(t))
	running(t, s)
	if st := s.source.status(); st.Stale || st.Source != "file "+s.cfg.TopologyFile || st.Revision == 0 {
		t.Errorf("at first: %+v", st)
	}
	writeText(t, s.cfg.TopologyFile, "regions: [{name: X}]")
	until(t, "the fault shows", func() bool { return s.source.status().Stale })
	if st := s.source.status(); !strings.Contains(st.Detail, "name") || strings.Contains(st.Detail, "\n") {
		t.Errorf("detail %q", st.Detail)
	}
	if n := len(s.store.Load().List(topology.KindNode)); n != 3 {
		t.Errorf("%d nodes are in use", n)
	}
	until(t, "the report says so", func() bool { r := s.report(); return r != nil && r.Stale })
	var b bytes.Buffer
	s.source.writeMetrics(&b)
	if !strings.Contains(b.String(), "meridian_topology_connected 0\n") {
		t.Errorf("metrics:\n%s", &b)
	}
	writeText(t, s.cfg.TopologyFile, oneTopology)
	until(t, "it is good again", func() bool { return !s.source.status().Stale })
}

func TestAnEdgeThatHasNoTopologyYetIsNotReadyAndEndsWhenAsked(t *testing.T) {
	cfg := edgeConfig(t)
	cfg.TopologyFile, cfg.Etcd.Endpoints, cfg.DataDir = "", []string{"http://127.0.0.1:1"}, t.TempDir()
	s := wired(t, cfg)
	stop := running(t, s)
	until(t, "it sees itself", func() bool { return len(s.status().Edges) == 1 })
	st := s.status()
	if st.Ready || st.Topology.Source != "etcd" || st.Topology.Stale || st.Topology.Revision != 0 || st.Topology.Since.IsZero() {
		t.Errorf("got %+v", st)
	}
	if s.source.refused() == nil {
		t.Error("the list of refused values is null in JSON")
	}
	if err := stop(); ended(err, context.Canceled) != nil {
		t.Errorf("run: %v", err)
	}
}
