// SPDX-License-Identifier: Apache-2.0

package geo

import (
	"encoding/json"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"meridian/topology"
)

func TestChooseNamesEveryRegionOnce(t *testing.T) {
	asked := map[topology.RegionID]int{}
	c := Choose(country(t, "NO"), []Site{tokyo, frankfurt, helsinki}, "tokyo", func(r topology.RegionID) (bool, string) {
		asked[r]++
		return r != "helsinki", "because"
	})
	want := []Considered{
		{Region: "helsinki", DistanceKm: 787, Reason: "because"},
		{Region: "frankfurt", DistanceKm: 1098, CanServe: true, Reason: "because", Chosen: true},
		{Region: "tokyo", DistanceKm: 8410, CanServe: true, Reason: "because"},
	}
	near := cmp.Comparer(func(a, b float64) bool { return a-b < 10 && b-a < 10 })
	if d := cmp.Diff(want, c.Considered, near); d != "" || c.Region != "frankfurt" || c.FailOpen || c.Default {
		t.Errorf("chose %+v (-want +got):\n%s", c, d)
	}
	if d := cmp.Diff(map[topology.RegionID]int{"helsinki": 1, "frankfurt": 1, "tokyo": 1}, asked); d != "" {
		t.Errorf("how often each region was asked for (-want +got):\n%s", d)
	}
}

func TestAnUnknownPlaceGoesToTheOwnRegionEvenIfAnotherStandsThere(t *testing.T) {
	twin := Site{"a-twin", frankfurt.Latitude, frankfurt.Longitude}
	c := Choose(Place{}, []Site{tokyo, twin, helsinki, frankfurt}, "frankfurt", nil)
	var got []topology.RegionID
	for _, r := range c.Considered {
		got = append(got, r.Region)
	}
	if want := []topology.RegionID{"frankfurt", "a-twin", "helsinki", "tokyo"}; !cmp.Equal(got, want) || c.Region != "frankfurt" || !c.Default {
		t.Errorf("chose %s of %v, want the first of %v", c.Region, got, want)
	}
}

func TestWithOneSiteTheAnswerHoldsForAll(t *testing.T) {
	for addr, want := range map[string]string{"81.2.69.160": "0.0.0.0/0", "2001:700::1": "::/0", "10.0.0.1": "0.0.0.0/0"} {
		p := Embedded().Locate(netip.MustParseAddr(addr))
		if got := Choose(p, []Site{tokyo}, "tokyo", nil); got.Prefix.String() != want || got.Region != "tokyo" {
			t.Errorf("%s: %s for %s, want tokyo for %s", addr, got.Region, got.Prefix, want)
		}
		if got := Choose(p, []Site{tokyo, helsinki}, "tokyo", nil); got.Prefix != p.Prefix {
			t.Errorf("%s: with two sites the choice is for %s, want %s", addr, got.Prefix, p.Prefix)
		}
	}
	if c := Choose(Place{}, nil, "tokyo", nil); c.Region != "" || c.Prefix.IsValid() || c.FailOpen {
		t.Errorf("with no site it chose %+v", c)
	}
}

func TestAChoiceIsJSON(t *testing.T) {
	c := Choose(Embedded().Locate(netip.MustParseAddr("10.0.0.1")), []Site{tokyo, helsinki}, "elsewhere", nil)
	b, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	var back Choice
	if err := json.Unmarshal(b, &back); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(c, back, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); d != "" {
		t.Errorf("it reads back as another (-want +got):\n%s", d)
	}
}

func BenchmarkChooseOfThree(b *testing.B) {
	sites := []Site{helsinki, frankfurt, tokyo}
	p := country(b, "NO")
	b.ReportAllocs()
	for b.Loop() {
		Choose(p, sites, "tokyo", nil)
	}
}
