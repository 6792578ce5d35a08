// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// outage is how long etcd is away. The promise is about a minute.
const outage = time.Minute

// TestAMinuteWithoutEtcdCostsNothing stops etcd for a minute under load, once by ending it and once by freezing it: no
// request fails, DNS goes on, and a change arrives within two seconds of its return.
func TestAMinuteWithoutEtcdCostsNothing(t *testing.T) {
	for name, fault := range map[string]struct{ away, back func(*testFleet) }{
		"ended": {
			func(f *testFleet) { f.must("dev", "stop", "etcd") },
			func(f *testFleet) { f.must("dev", "start", "etcd") },
		},
		"frozen": {
			func(f *testFleet) { f.kill("etcd", syscall.SIGSTOP) },
			func(f *testFleet) { f.kill("etcd", syscall.SIGCONT) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := startFleet(t, "--regions", "us-east-1,eu-central-1")
			c := newRawMCP(f.mcpURL(0))
			defer c.close()
			s, err := c.open(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			l := startLoad(f.mcpURL(0), 40, 5*time.Millisecond)
			fault.away(f)
			t.Cleanup(func() { // a frozen process can't be ended
				if pid := f.pids()["etcd"]; pid != 0 {
					syscall.Kill(pid, syscall.SIGCONT)
				}
			})
			f.waitFor("status says that etcd is away", 20*time.Second, func() error { return stale(f, true) })
			connectedMetric(t, f, "0")
			answered := throughOutage(t, f, s)
			fault.back(f)
			back := time.Now()
			changeArrives(t, f, back)
			f.waitFor("status says that etcd is back", 20*time.Second, func() error { return stale(f, false) })
			connectedMetric(t, f, "1")
			nobodyLost(t, f)
			r := l.stop()
			t.Logf("load: %s; %d DNS answers", r, answered)
			if r.Failed > 0 {
				t.Errorf("%d of %d requests failed while etcd was %s", r.Failed, r.Sent, name)
			}
		})
	}
}

func stale(f *testFleet, want bool) error {
	st, err := f.status(0)
	if err != nil {
		return err
	}
	if st.Topology.Stale != want {
		return fmt.Errorf("stale is %v", st.Topology.Stale)
	}
	return nil
}

func connectedMetric(t *testing.T, f *testFleet, want string) {
	t.Helper()
	_, body, err := get(f.adminURL(0) + "/metrics")
	if err != nil || !strings.Contains(body, "meridian_topology_connected "+want) {
		t.Errorf("metrics: want meridian_topology_connected %s (%v)", want, err)
	}
}

// throughOutage asks DNS and a session several times a second for as long as the outage lasts.
func throughOutage(t *testing.T, f *testFleet, s *rawSession) (answered int) {
	t.Helper()
	end := time.After(outage)
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-end:
			return answered
		case <-tick.C:
		}
		m, err := f.query(0, "udp", "mcp.edge.test.", dns.TypeA, "81.2.69.0/24")
		if err != nil {
			t.Fatalf("DNS during the outage: %v", err)
		}
		if addrs, _ := addresses(m); len(addrs) != 1 || addrs[0] != f.ip(1) {
			t.Fatalf("DNS during the outage: got %v; want %s", addrs, f.ip(1))
		}
		if _, a, err := s.echo(t.Context(), "on", 0); err != nil {
			t.Fatalf("a session during the outage: %+v %v", a, err)
		}
		answered++
	}
}

// changeArrives applies a change and checks that the edges have it within two seconds of etcd's return, or of the
// change where writing it took longer.
func changeArrives(t *testing.T, f *testFleet, back time.Time) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "change.yaml")
	if err := os.WriteFile(file, []byte("pools:\n  - name: late\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	f.must("apply", "-f", file)
	written := time.Now()
	for n := range 2 {
		f.waitFor(fmt.Sprintf("edge %d has the change", n), 10*time.Second, func() error {
			st, err := f.status(n)
			if err != nil {
				return err
			}
			for _, p := range st.Pools {
				if p.Name == "late" {
					return nil
				}
			}
			return errors.New("not yet")
		})
	}
	t.Logf("etcd back %s before the change was written; it was everywhere %s later", written.Sub(back).Round(time.Millisecond), time.Since(written).Round(time.Millisecond))
	if d := time.Since(written); d > 2*time.Second {
		t.Errorf("the change took %s to arrive; want at most 2s", d)
	}
}

// nobodyLost checks that all workers and edges are registered again.
func nobodyLost(t *testing.T, f *testFleet) {
	t.Helper()
	f.waitFor("all workers and edges are there", 20*time.Second, func() error {
		st, err := f.status(0)
		if err != nil {
			return err
		}
		if len(st.Nodes) != 4 || len(st.Edges) != 2 {
			return fmt.Errorf("%d nodes, %d edges", len(st.Nodes), len(st.Edges))
		}
		for _, n := range st.Nodes {
			if n.Health != "up" {
				return fmt.Errorf("%s is %s: %s", n.Name, n.Health, n.Reason)
			}
		}
		return nil
	})
}

// TestAnEdgeStartsWithoutEtcd starts an edge while etcd is away: it serves from the last good topology on its disk, says
// so, and takes part again when etcd is back. A worker that starts meanwhile registers then.
func TestAnEdgeStartsWithoutEtcd(t *testing.T) {
	t.Parallel()
	f := startFleet(t, "--regions", "us-east-1")
	f.must("dev", "stop", "etcd")
	f.must("dev", "stop", "edge-us-east-1")
	start := time.Now()
	f.must("dev", "start", "edge-us-east-1")
	t.Logf("ready %s after the start", time.Since(start).Round(time.Millisecond))
	c := newRawMCP(f.mcpURL(0))
	defer c.close()
	f.waitFor("it serves", 3*time.Second, func() error { _, _, err := c.echoModern(t.Context(), "on", 0); return err })
	if m, err := f.query(0, "udp", "mcp.edge.test.", dns.TypeA, ""); err != nil || len(m.Answer) != 1 {
		t.Errorf("DNS: %v %v", m, err)
	}
	st, err := f.status(0)
	if err != nil || !st.Ready || !st.Topology.Stale || !strings.Contains(st.Topology.Source, "disk") {
		t.Errorf("status: %+v %v; want it ready, stale, and from disk", st.Topology, err)
	}
	if out := f.must("status"); !strings.Contains(out, "STALE") {
		t.Errorf("the table does not say that it is stale:\n%s", out)
	}
	f.kill("mcp-us-east-1-1", syscall.SIGKILL)
	f.waitFor("the worker is gone", 5*time.Second, func() error {
		if f.pids()["mcp-us-east-1-1"] != 0 {
			return errors.New("it runs")
		}
		return nil
	})
	started := make(chan struct{})
	go func() { f.run("dev", "start", "mcp-us-east-1-1"); close(started) }()
	f.must("dev", "start", "etcd")
	<-started
	f.waitFor("both workers are up again", 10*time.Second, func() error {
		st, err := f.status(0)
		if err != nil {
			return err
		}
		if st.Topology.Stale || len(st.Pools) != 1 || st.Pools[0].Up != 2 {
			return fmt.Errorf("%+v %+v", st.Topology, st.Pools)
		}
		return nil
	})
}

// TestARegionThatCannotServeLeavesTheAnswers takes a region's workers away, then its edge, and brings both back.
func TestARegionThatCannotServeLeavesTheAnswers(t *testing.T) {
	t.Parallel()
	f := startFleet(t)
	// London's region is eu-central-1; without it, us-east-1 is nearer than ap-southeast-1.
	answer := func(n int, want string) error {
		m, err := f.query(n, "udp", "mcp.edge.test.", dns.TypeA, "81.2.69.0/24")
		if err != nil {
			return err
		}
		if addrs, _ := addresses(m); len(addrs) != 1 || addrs[0] != want {
			return fmt.Errorf("edge %d answers %v", n, addrs)
		}
		return nil
	}
	others := func(want string) func() error {
		return func() error { return errors.Join(answer(0, want), answer(2, want)) }
	}
	for what, fault := range map[string]struct {
		names []string
		sig   syscall.Signal
	}{
		"its workers are killed": {[]string{"mcp-eu-central-1-1", "mcp-eu-central-1-2"}, syscall.SIGKILL},
		"its edge is killed":     {[]string{"edge-eu-central-1"}, syscall.SIGKILL},
		"its edge hangs":         {[]string{"edge-eu-central-1"}, syscall.SIGSTOP},
	} {
		f.waitFor("London goes to eu-central-1 before "+what, 15*time.Second, others(f.ip(1)))
		for _, name := range fault.names {
			f.kill(name, fault.sig)
		}
		d := f.waitFor("the region left the answers after "+what, 3*time.Second, others(f.ip(0)))
		t.Logf("%s: left the answers after %s", what, d.Round(time.Millisecond))
		for _, name := range fault.names {
			if fault.sig == syscall.SIGSTOP {
				f.kill(name, syscall.SIGCONT)
			} else {
				f.must("dev", "start", name)
			}
		}
		d = f.waitFor("the region is back in the answers after "+what, 5*time.Second, others(f.ip(1)))
		t.Logf("%s: back %s after the start", what, d.Round(time.Millisecond))
	}
}
