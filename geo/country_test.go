// SPDX-License-Identifier: Apache-2.0

package geo

import (
	"math"
	"strings"
	"testing"
)

func TestEveryCountryHasAContinentAndCoordinates(t *testing.T) {
	a, err := parseAtlas(countryCoords, bigCountryPoints)
	if err != nil {
		t.Fatal(err)
	}
	if len(a.place) < 250 || len(a.points) != 9 {
		t.Errorf("%d countries, %d with points, want at least 250 and 9", len(a.place), len(a.points))
	}
	for code, points := range a.points {
		sum := 0.0
		for _, p := range points {
			sum += p.weight
		}
		if math.Abs(sum-1) > 1e-9 {
			t.Errorf("the weights of %s sum to %v, want 1", code, sum)
		}
	}
	if gb, ok := Country("GB"); !ok || gb.Continent != "EU" || math.Abs(gb.Latitude-51.5) > 0.1 {
		t.Errorf("GB is %+v", gb)
	}
	if p, ok := Country("ZZ"); ok || p != (Place{Country: "ZZ"}) {
		t.Errorf("ZZ is %+v, %v, want an unknown place", p, ok)
	}
}

func TestCoordinatesOfZoneTabAreRead(t *testing.T) {
	for s, want := range map[string][2]float64{"-3352+15113": {-33.8667, 151.2167}, "+404251-0740023": {40.7142, -74.0064}, "+0000+00000": {}} {
		lat, lon, err := isoCoordinates(s)
		if err != nil || math.Abs(lat-want[0]) > 1e-4 || math.Abs(lon-want[1]) > 1e-4 {
			t.Errorf("isoCoordinates(%s) = %v, %v, %v, want %v", s, lat, lon, err, want)
		}
	}
	for _, s := range []string{"", "+", "+-", "3352+15113", "-335+15113", "-3352+1511", "-3360+15113", "-9101+15113", "-3352+18001", "-33x2+15113", "--352+15113", "-3352", "-335260+15113"} {
		if lat, lon, err := isoCoordinates(s); err == nil {
			t.Errorf("isoCoordinates(%q) = %v, %v, want an error", s, lat, lon)
		}
	}
}

func TestABadRowIsNamedByItsLine(t *testing.T) {
	const gb = "GB\tEU\t51.5\t-0.1\n"
	for _, c := range []struct{ coords, points, want string }{
		{"# c\nGB\tEU\n", "", "coordinates: line 2: 2 fields"},
		{gb + gb, "", "line 2"},
		{"GBR\tEU\t51.5\t-0.1\n", "", "two letters"},
		{"GB\tEU\t91\t0\n", "", "-90 to 90"},
		{"GB\tEU\t1\tNaN\n", "", "-180 to 180"},
		{gb, "NO\t+5955+01045\n", "points: line 1: country \"NO\""},
		{gb, "GB\tx\n", "points: line 1"},
	} {
		if _, err := parseAtlas(c.coords, c.points); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("parseAtlas(%q, %q): %v, want %q in it", c.coords, c.points, err, c.want)
		}
	}
}
