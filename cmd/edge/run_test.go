// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"meridian/config"
	"meridian/mcp"
)

// oneTopology has two regions, of which b has no edge, and a drained node.
const oneTopology = `
regions:
  - {name: a, latitude: 50.11, longitude: 8.68}
  - {name: b, latitude: 39.04, longitude: -77.49}
pools:
  - {name: mcp, protocol: mcp, health_check: {interval: 100ms}}
nodes:
  - {name: n-a1, pool: mcp, region: a, address: "127.0.0.1:1"}
  - {name: n-a2, pool: mcp, region: a, address: "127.0.0.1:1"}
  - {name: n-b1, pool: mcp, region: b, address: "127.0.0.1:1"}
edges:
  - {name: edge-b, region: b, addresses: [192.0.2.98], admin: "127.0.0.1:1"}
routes:
  - {name: mcp, path_prefix: /mcp, pool: mcp}
names:
  - {name: mcp.test, zone: test, pool: mcp}
drains:
  - {name: node/n-a2, author: somebody, created: 2026-11-23T14:00:00Z}
`

func writeText(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func fileOf(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "topology.yaml")
	writeText(t, path, text)
	return path
}

// edgeConfig is that of edge-a, on free ports, with oneTopology.
func edgeConfig(t *testing.T) *config.Edge {
	t.Helper()
	cfg := config.Edge{
		Name: "edge-a", Region: "a", TopologyFile: fileOf(t, oneTopology),
		HTTP: config.HTTP{Listen: []string{"127.0.0.1:0"}}, DNS: config.DNS{Listen: []string{"127.0.0.1:0"}}, Admin: config.Admin{Listen: "127.0.0.1:0"},
		Advertise: config.Advertise{Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.97")}},
	}.WithDefaults()
	return &cfg
}

// running runs a server until the test ends or stop is called, which returns how it ended.
func running(t *testing.T, s *server) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.run(ctx) }()
	var err error
	done := false
	stop = func() error {
		if done {
			return err
		}
		cancel()
		select {
		case err = <-ended:
			done = true
		case <-time.After(30 * time.Second):
			t.Error("the edge does not end")
		}
		return err
	}
	t.Cleanup(func() { stop(); s.close() })
	return stop
}

func wired(t *testing.T, cfg *config.Edge) *server {
	t.Helper()
	s, err := newServer(cfg, nil, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestAnEdgeEndsWithoutErrorWhenAsked(t *testing.T) {
	s := wired(t, edgeConfig(t))
	stop := running(t, s)
	until(t, "the edge sees its topology", func() bool { return s.fleet.snapshot() != nil })
	if ok, reason := s.ready(); !ok {
		t.Errorf("not ready: %s", reason)
	}
	if err := stop(); ended(err, context.Canceled) != nil {
		t.Errorf("run: %v", err)
	}
	if ok, reason := s.ready(); ok || reason != "the edge is ending" {
		t.Errorf("after its end: ready %v, %q", ok, reason)
	}
	if s.report() != nil {
		t.Error("an edge that is ending answers the others' probes")
	}
}

// brokenSource fails as soon as it runs.
type brokenSource struct{ source }

func (brokenSource) run(context.Context) error { return errors.New("the source is broken") }

// TestAnEdgeEndsWhenAPartFails holds that no edge goes on serving without its checks and its topology.
func TestAnEdgeEndsWhenAPartFails(t *testing.T) {
	s := wired(t, edgeConfig(t))
	defer s.close()
	s.source = brokenSource{s.source}
	ended := make(chan error, 1)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() { ended <- s.run(ctx) }()
	select {
	case err := <-ended:
		if err == nil || err.Error() != "the source is broken" {
			t.Errorf("got %v", err)
		}
	case <-time.After(20 * time.Second):
		cancel()
		<-ended
		t.Error("it goes on serving")
	}
}

func TestAStartThatCannotBeIsAnError(t *testing.T) {
	for _, c := range []struct {
		change func(*config.Edge)
		want   string
	}{
		{func(e *config.Edge) { e.TopologyFile, e.Etcd.Endpoints = "", []string{"http://[::1"} }, "[::1"},
		{func(e *config.Edge) { e.TopologyFile = "/nowhere/topology.yaml" }, "/nowhere/topology.yaml"},
		{func(e *config.Edge) { e.AccessLog = "/nowhere/access.log" }, "access log"},
		{func(e *config.Edge) { e.Geo.Database = "/nowhere/x.mmdb" }, "/nowhere/x.mmdb"},
		{func(e *config.Edge) { e.Log.Level = "loud" }, "loud"},
		{func(e *config.Edge) { e.HTTP.Listen = []string{"192.0.2.1:1"} }, "192.0.2.1:1"},
		{func(e *config.Edge) { e.DNS.Listen = []string{"192.0.2.1:1"} }, "192.0.2.1:1"},
		{func(e *config.Edge) { e.Admin.Listen = "192.0.2.1:1" }, "192.0.2.1:1"},
	} {
		cfg := edgeConfig(t)
		c.change(cfg)
		if err := serve(context.Background(), cfg, nil, io.Discard); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v; want %q in it", err, c.want)
		}
	}
}

func TestIdleSessionsAreForgottenWithoutTraffic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{sessions: mcp.NewSessions(10, time.Second)}
		s.sessions.Bind("mcp", "one", "n-1", time.Now())
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- s.expireSessions(ctx) }()
		time.Sleep(expireEvery + time.Millisecond)
		synctest.Wait()
		if n := s.sessions.Len(); n != 0 {
			t.Errorf("%d sessions are kept", n)
		}
		cancel()
		<-ended
	})
}
