// SPDX-License-Identifier: Apache-2.0

package topology

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func setOf(resources ...Resource) Set {
	s := Set{}
	for _, r := range resources {
		s.Put(r)
	}
	return s
}

func keys(mistakes []Mistake) string {
	var out []string
	for _, m := range mistakes {
		out = append(out, m.Key.String()+":"+m.Field)
	}
	return strings.Join(out, " ")
}

func TestBuildLeavesOutWhatDangles(t *testing.T) {
	set := setOf(
		&Region{Name: "r"}, &Pool{Name: "p"},
		&Node{Name: "n1", Pool: "p", Region: "r"}, &Node{Name: "n2", Pool: "gone", Region: "gone"},
		&Route{Name: "t1", Pool: "p"}, &Route{Name: "t2", Pool: "gone"},
		&Name{Name: "a.test", Pool: "p"}, &Name{Name: "b.test", Pool: "p", Regions: []RegionID{"gone"}},
		&Edge{Name: "e", Region: "gone"}, &Drain{Name: "node/not-here"},
	)
	before := len(set)
	s, problems := Build(7, set)
	if got, want := keys(problems), "edges/e:region nodes/n2:pool nodes/n2:region routes/t2:pool names/b.test:regions[0]"; got != want {
		t.Errorf("got problems %s, want %s", got, want)
	}
	if len(set) != before {
		t.Error("Build changed the set that it was given")
	}
	if s.Node("n2") != nil || s.Route("t2") != nil || s.Edge("e") != nil || s.Name("b.test") != nil {
		t.Error("what dangles is still there")
	}
	if s.Revision != 7 || s.Node("n1") == nil || len(s.NodesOf("p")) != 1 || s.Pool("p") == nil || s.Region("r") == nil || s.Name("a.test") == nil {
		t.Errorf("got %+v", s)
	}
	if s.DrainOf("not-here") == nil {
		t.Error("a drain is kept while its node is away")
	}
}

// Route is not a method of Snapshot, which finds routes by request.
func (s *Snapshot) Route(id RouteID) *Route {
	r, _ := s.Get(Key{KindRoute, string(id)}).(*Route)
	return r
}

func TestZonesDoNotNest(t *testing.T) {
	f := func(want string, names ...*Name) {
		t.Helper()
		set := setOf(&Pool{Name: "p"})
		for _, n := range names {
			n.Pool = "p"
			set.Put(n)
		}
		if got := keys(set.CheckWhole()); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	f("", &Name{Name: "a.edge.test"}, &Name{Name: "b.edge.test"}, &Name{Name: "edge.test", Zone: "edge.test"})
	f("names/a.edge.test:zone", &Name{Name: "a.edge.test", Zone: "test"}, &Name{Name: "b.edge.test"})
	f("names/edge.test:zone", &Name{Name: "edge.test"}, &Name{Name: "b.edge.test"})
	f("", &Name{Name: "a.x.test"}, &Name{Name: "b.y.test"})
}

func TestNilSnapshotIsEmpty(t *testing.T) {
	var s *Snapshot
	if s.Get(Key{}) != nil || s.Node("a") != nil || s.NodesOf("p") != nil || s.DrainOf("a") != nil || s.EdgesIn("r") != nil ||
		s.List(KindNode) != nil || s.Match("GET", "a", "/") != nil || !s.Compare(s).Empty() {
		t.Error("a nil snapshot holds something")
	}
}

func TestListsAreSortedByName(t *testing.T) {
	s, _ := Build(1, setOf(&Region{Name: "b"}, &Region{Name: "a"}, &Region{Name: "c"}, &Edge{Name: "y", Region: "a"}, &Edge{Name: "x", Region: "a"}))
	var got []string
	for _, r := range s.List(KindRegion) {
		got = append(got, r.Key().Name)
	}
	for _, e := range s.EdgesIn("a") {
		got = append(got, string(e.Name))
	}
	for _, r := range s.Regions {
		got = append(got, string(r.Name))
	}
	if diff := cmp.Diff([]string{"a", "b", "c", "x", "y", "a", "b", "c"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestCompareSaysWhatChanged(t *testing.T) {
	same, changed := &Region{Name: "same"}, &Region{Name: "changed"}
	a, _ := Build(1, setOf(same, changed, &Region{Name: "removed"}, &Region{Name: "decoded-anew", Latitude: 1}))
	b, _ := Build(2, setOf(same, &Region{Name: "changed", Latitude: 2}, &Region{Name: "added"}, &Region{Name: "decoded-anew", Latitude: 1}))
	key := func(name string) []Key { return []Key{{KindRegion, name}} }
	if diff := cmp.Diff(Diff{Added: key("added"), Changed: key("changed"), Removed: key("removed")}, a.Compare(b)); diff != "" {
		t.Error(diff)
	}
	if !a.Compare(a).Empty() || a.Compare(b).Empty() || len((*Snapshot)(nil).Compare(a).Added) != 4 || len(a.Compare(nil).Removed) != 4 {
		t.Error("wrong against itself or nil")
	}
}

func TestReportsAreOrderedByStartThenCount(t *testing.T) {
	at := time.Now()
	f := func(a, b *Report, want bool) {
		t.Helper()
		if got := a.Newer(b); got != want {
			t.Errorf("got %v, want %v", got, want)
		}
	}
	old, next, restarted := &Report{Started: at, Seq: 9}, &Report{Started: at, Seq: 10}, &Report{Started: at.Add(time.Second), Seq: 1}
	f(next, old, true)
	f(old, next, false)
	f(old, old, false)
	f(restarted, next, true)
	f(next, restarted, false)
	f(old, nil, true)
	f(nil, old, false)
	f(nil, nil, false)
}

func TestStorePublishesTheNewestSnapshot(t *testing.T) {
	var s Store
	a := &Snapshot{Revision: 1}
	if s.Load() != nil || s.Swap(a) != nil || s.Load() != a || s.Swap(nil) != a {
		t.Error("the store returned another snapshot")
	}
}

func TestDurationsAreText(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		var d Duration
		if err := d.UnmarshalText([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if b, _ := d.MarshalText(); string(b) != want {
			t.Errorf("got %s, want %s", b, want)
		}
	}
	f("500ms", "500ms")
	f("90s", "1m30s")
	f("0s", "0s")
	for _, bad := range []string{"", "5", "5 s", "five", "1e100h"} {
		if err := new(Duration).UnmarshalText([]byte(bad)); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func largeSet(nodes int) Set {
	s := setOf(&Pool{Name: "p"})
	for i := range 8 {
		region := RegionID(fmt.Sprintf("region-%d", i))
		s.Put(&Region{Name: region})
		s.Put(&Edge{Name: EdgeID("edge-" + itoa(i)), Region: region, Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.1")}})
	}
	for i := range nodes {
		s.Put(&Node{Name: NodeID("node-" + itoa(i)), Pool: "p", Region: RegionID("region-" + itoa(i%8)), Address: "10.0.0.1:80"})
	}
	for i := range nodes / 10 {
		s.Put(&Route{Name: RouteID("route-" + itoa(i)), Hosts: []string{"h" + itoa(i) + ".example.org"}, Pool: "p"})
	}
	return s
}

func BenchmarkBuildOf10000Nodes(b *testing.B) {
	set := largeSet(10_000)
	b.ReportAllocs()
	for b.Loop() {
		if s, problems := Build(1, set); len(problems) > 0 || len(s.Nodes) != 10_000 {
			b.Fatal(problems)
		}
	}
}

func BenchmarkCompareOf10000Nodes(b *testing.B) {
	one, _ := Build(1, largeSet(10_000))
	two, _ := Build(2, largeSet(10_000))
	b.ReportAllocs()
	for b.Loop() {
		if !one.Compare(two).Empty() {
			b.Fatal("they differ")
		}
	}
}
