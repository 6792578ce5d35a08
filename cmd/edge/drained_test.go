// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"meridian/topology"
	"meridian/topology/etcd"
)

// withDrains adds drains to a topology. They were written when the fleet began, but for after.
func withDrains(t *testing.T, snap *topology.Snapshot, after time.Duration, names ...string) *topology.Snapshot {
	t.Helper()
	return withDrainsOf(t, snap, began.Add(after), names...)
}

func withDrainsOf(t *testing.T, snap *topology.Snapshot, created time.Time, names ...string) *topology.Snapshot {
	t.Helper()
	set := topology.Set{}
	for _, k := range topology.Kinds {
		for _, r := range snap.List(k) {
			set.Put(r)
		}
	}
	for _, name := range names {
		set.Put(&topology.Drain{Name: name, Created: created})
	}
	out, mistakes := topology.Build(snap.Revision+1, set)
	if len(mistakes) > 0 {
		t.Fatal(mistakes)
	}
	return out
}

// servingFleet is edge-a's view of three regions that can serve.
func servingFleet(t *testing.T) (*seen, *topology.Snapshot) {
	s := newSeen("edge-a")
	up := &topology.Report{Started: began, Seq: 1, Revision: 9, Pools: up1}
	snap := world(t, 9, peer("edge-b", up), peer("edge-c", up))
	s.take(snap)
	s.check("n-a", true)
	s.check("edge/edge-b", true)
	s.check("edge/edge-c", true)
	s.look()
	return s, snap
}

func TestClientsAreKeptFromDrainedRegionsAndEdgesUnlessNothingIsLeft(t *testing.T) {
	s, snap := servingFleet(t)
	london := netip.MustParseAddr("81.2.69.160")
	f := func(region topology.RegionID, address topology.EdgeID, drains ...string) {
		t.Helper()
		s.take(withDrains(t, snap, 0, drains...))
		choice, addrs := s.choose(snap.Name("mcp.test"), london)
		if choice.Region != region || len(addrs) != 1 || addrs[0] != addressOf(address) || choice.FailOpen {
			t.Errorf("with %v drained: %v in %s (fail open: %t); want %s", drains, addrs, choice.Region, choice.FailOpen, region)
		}
	}
	f("a", "edge-a")
	f("b", "edge-b", "region/a")
	f("b", "edge-b", "edge/edge-a")
	f("c", "edge-c", "region/a", "edge/edge-b")
	f("a", "edge-a", "region/a", "region/b", "region/c")
	f("a", "edge-a", "edge/edge-a", "region/b", "edge/edge-c")
	f("a", "edge-a", "node/n-b", "zone/a/x")
	s.check("edge/edge-b", false)
	f("c", "edge-c", "region/a")
	f("a", "edge-a", "region/a", "region/c") // drained is better than dead
}

func TestADrainKnowsForHowLongResolversRememberAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, snap := servingFleet(t)
		ttl := snap.Name("mcp.test").EffectiveTTL()
		london := netip.MustParseAddr("81.2.69.160")
		time.Sleep(time.Hour)
		drained := withDrains(t, snap, time.Hour, "region/a", "edge/edge-b")
		region := drained.DrainOfRegion("a")
		f := func(d *topology.Drain, want time.Duration) {
			t.Helper()
			if got := s.resolvers(d); got < want || got > want+clockGrain {
				t.Errorf("%s: %s left; want %s", d.Name, got, want)
			}
		}
		f(region, ttl) // it is not in use yet, so that answers are still given
		s.fleet.answer(snap.Name("mcp.test"), london)
		s.choose(snap.Name("mcp.test"), london)
		time.Sleep(ttl / 3)
		s.take(drained)
		f(region, 2*ttl/3)
		f(drained.DrainOfEdge("edge-b"), 0)
		s.fleet.answer(snap.Name("mcp.test"), london) // c, since b's only edge is drained
		f(region, 2*ttl/3)
		f(drained.DrainOfEdge("edge-b"), 0)
		time.Sleep(ttl)
		f(region, 0)
		if got := s.resolvers(region); got != 0 {
			t.Errorf("%s left after the TTL", got)
		}
	})
}

// TestARestartedAuthorityTakesTheOneBeforeToHaveAnswered: what was handed out before its start is bounded by the names' TTL.
func TestARestartedAuthorityTakesTheOneBeforeToHaveAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, snap := servingFleet(t)
		ttl := snap.Name("mcp.test").EffectiveTTL()
		for created, want := range map[time.Duration]time.Duration{
			time.Hour:              ttl, // written while this one ran
			0:                      ttl,
			-ttl / 2:               ttl/2 + seesDrain,
			-ttl - 2*seesDrain:     0,
			-seesDrain - ttl + 1e9: time.Second,
		} {
			drained := withDrains(t, snap, created, "region/a")
			s.take(drained)
			if got := s.resolvers(drained.DrainOfRegion("a")); got < want-time.Second/10 || got > want {
				t.Errorf("a drain of %s after the start: %s left, want %s", created, got, want)
			}
		}
		for created, want := range map[time.Time]time.Duration{{}: ttl, time.Unix(-1<<35, 0): 0} { // a file may say nothing, or anything
			drained := withDrainsOf(t, snap, created, "region/a")
			s.take(drained)
			if got := s.resolvers(drained.DrainOfRegion("a")); got < want-time.Second/10 || got > want {
				t.Errorf("a drain of %s: %s left, want %s", created, got, want)
			}
		}
		time.Sleep(time.Hour)
		for _, created := range []time.Time{{}, time.Unix(-1<<35, 0)} {
			s.take(withDrainsOf(t, snap, created, "region/a"))
			if got := s.resolvers(s.store.Load().DrainOfRegion("a")); got != 0 {
				t.Errorf("a drain of %s: %s left an hour after the start", created, got)
			}
		}
	})
}

func TestTheProgressOfADrainIsShownAsItIsRead(t *testing.T) {
	d := &topology.Drain{Name: "region/a"}
	at := func(inFlight, dns int) etcd.DrainProgress {
		return etcd.DrainProgress{
			Drain: d, InFlight: inFlight, Streams: 2, Sessions: 3, DNSLeft: dns, Waiting: 2, Unknown: 1,
			Edges: []etcd.EdgeProgress{
				{Edge: "e1", Live: true, Ack: &topology.Ack{InFlight: inFlight, Streams: 2, DNSLeft: dns}}, {Edge: "e2"}, {Edge: "e3", Ignored: true},
			},
		}
	}
	var lines, objects, bar bytes.Buffer
	for _, v := range []drainView{&lineView{w: &lines, name: d.Name}, &jsonView{w: &objects}, &barView{w: &bar, name: d.Name}} {
		v.show(sumUp(at(6, 4)))
		v.show(sumUp(at(1, 1)))
		away := at(1, 1)
		away.Fault = errors.New("away")
		v.show(sumUp(away))
		v.end()
	}
	want := "region/a: 6 requests in flight, 2 streams open, 3 sessions bound; 4 s until resolvers have forgotten it; e2 ended without a goodbye and may still serve (--ignore edge/e2)\n"
	if got := lines.String(); !strings.HasPrefix(got, want) || !strings.Contains(got, "etcd does not answer") {
		t.Errorf("lines:\n%s", got)
	}
	for i, line := range strings.Split(strings.TrimSpace(objects.String()), "\n") {
		var v struct {
			InFlight int      `json:"in_flight"`
			Unknown  []string `json:"unknown"`
			Fault    string   `json:"fault"`
		}
		if err := json.Unmarshal([]byte(line), &v); err != nil || i < 2 && (len(v.Unknown) != 1 || v.InFlight == 0) || i == 2 && v.Fault != "away" {
			t.Errorf("object %d: %s, %v", i, line, err)
		}
	}
	if got := bar.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "region/a [                        ]   0%") || !strings.Contains(got, "[=============           ]  57%") {
		t.Errorf("bar: %q", got)
	}
}

func TestAZoneMayBeNamedWithoutItsRegion(t *testing.T) {
	set := topology.Set{}
	set.Put(&topology.Node{Name: "n1", Region: "a", Zone: "one"})
	set.Put(&topology.Node{Name: "n2", Region: "a", Zone: "two"})
	set.Put(&topology.Node{Name: "n3", Region: "b", Zone: "two"})
	for name, want := range map[string]string{
		"zone/one": "zone/a/one", "zone/two": "", "zone/three": "", "zone/b/two": "zone/b/two", "node/n1": "node/n1",
	} {
		if got, err := drainTarget(set, name); got != want || (err == nil) != (want != "") {
			t.Errorf("%s is %q, %v; want %q", name, got, err, want)
		}
	}
	for _, bad := range []string{"pool/a", "zone/", "zone/A", "edge/", "x"} {
		if err := checkTarget(bad); !errors.As(err, &misuse{}) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
