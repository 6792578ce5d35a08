// SPDX-License-Identifier: Apache-2.0

package geo

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"meridian/topology"
)

func TestDistancesAreThoseOfTheGlobe(t *testing.T) {
	const half = math.Pi * earthRadiusKm
	for _, c := range []struct {
		name                   string
		lat1, lon1, lat2, lon2 float64
		want, within           float64
	}{
		{"Oslo to Helsinki", 59.91, 10.75, 60.17, 24.94, 787, 5},
		{"Oslo to Frankfurt", 59.91, 10.75, 50.11, 8.68, 1098, 5},
		{"over the date line", 0, 179, 0, -179, 2 * half / 180, 1e-6},
		{"pole to pole", 90, 12, -90, 77, half, 1e-6},
		{"antipodes", 12.3, 45.6, -12.3, -134.4, half, 1e-3},
		{"nowhere", 5, 5, 5, 5, 0, 0},
	} {
		if got := Distance(c.lat1, c.lon1, c.lat2, c.lon2); math.Abs(got-c.want) > c.within {
			t.Errorf("%s: %v km, want %v", c.name, got, c.want)
		}
	}
}

func TestDistanceIsAMetric(t *testing.T) {
	const seed = 5
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for range 2000 {
		var lat, lon [3]float64
		for i := range lat {
			lat[i], lon[i] = r.Float64()*180-90, r.Float64()*360-180
		}
		d := func(i, j int) float64 { return Distance(lat[i], lon[i], lat[j], lon[j]) }
		if math.Abs(d(0, 1)-d(1, 0)) > 1e-6 || d(0, 2) > d(0, 1)+d(1, 2)+1e-6 || d(0, 1) > math.Pi*earthRadiusKm+1e-6 {
			t.Fatalf("%v %v: %v, %v, %v, %v km", lat, lon, d(0, 1), d(1, 0), d(1, 2), d(0, 2))
		}
	}
}

var (
	helsinki  = Site{"helsinki", 60.17, 24.94}
	frankfurt = Site{"frankfurt", 50.11, 8.68}
	tokyo     = Site{"tokyo", 35.68, 139.69}
	ashburn   = Site{"ashburn", 38.95, -77.45}
	portland  = Site{"portland", 45.84, -119.70}
	singapore = Site{"singapore", 1.29, 103.85}
)

func country(t testing.TB, code string) Place {
	t.Helper()
	p, ok := Country(code)
	if !ok {
		t.Fatalf("country %s is not known", code)
	}
	return p
}

func regions(ranked []Ranked) []topology.RegionID {
	var out []topology.RegionID
	for _, r := range ranked {
		out = append(out, r.Region)
	}
	return out
}

func TestALargeCountryIsRankedByWhereMostOfItLives(t *testing.T) {
	for _, c := range []struct {
		country string
		sites   []Site
		want    topology.RegionID
	}{
		{"RU", []Site{tokyo, frankfurt}, "frankfurt"}, // its nearest point to any is Vladivostok to Tokyo
		{"US", []Site{portland, ashburn}, "ashburn"},
		{"CA", []Site{portland, ashburn}, "ashburn"},
		{"AU", []Site{frankfurt, singapore, portland}, "singapore"},
		{"BR", []Site{frankfurt, ashburn}, "ashburn"},
		{"NO", []Site{frankfurt, helsinki}, "helsinki"},
	} {
		if got := Rank(country(t, c.country), c.sites)[0].Region; got != c.want {
			t.Errorf("%s goes to %s, want %s: %v", c.country, got, c.want, Rank(country(t, c.country), c.sites))
		}
	}
}

func TestExactCoordinatesSeparateTheCoastsOfACountry(t *testing.T) {
	la := Place{Country: "US", Latitude: 34.05, Longitude: -118.24, Known: true, Exact: true}
	if got := Rank(la, []Site{ashburn, portland})[0].Region; got != "portland" {
		t.Errorf("Los Angeles goes to %s, want portland", got)
	}
}

func TestTiesAndUnknownPlacesAreRankedByName(t *testing.T) {
	twin := Site{"a-twin", frankfurt.Latitude, frankfurt.Longitude}
	want := []topology.RegionID{"a-twin", "frankfurt", "tokyo"}
	for _, p := range []Place{country(t, "DE"), {}} {
		if got := regions(Rank(p, []Site{tokyo, frankfurt, twin})); !cmp.Equal(got, want) {
			t.Errorf("Rank(%+v) = %v, want %v", p, got, want)
		}
	}
	if got := Rank(Place{}, []Site{tokyo})[0].DistanceKm; got != -1 {
		t.Errorf("the distance from an unknown place is %v, want -1", got)
	}
}

func TestASiteWithoutNumbersIsLast(t *testing.T) {
	bad := Site{"a-bad", math.NaN(), 0}
	if got := regions(Rank(country(t, "DE"), []Site{bad, tokyo})); !cmp.Equal(got, []topology.RegionID{"tokyo", "a-bad"}) {
		t.Errorf("got %v, want the bad one last", got)
	}
}

func BenchmarkRankEightRegions(b *testing.B) {
	sites := []Site{helsinki, frankfurt, tokyo, ashburn, portland, singapore, {"sydney", -33.87, 151.22}, {"mumbai", 19.08, 72.88}}
	for _, code := range []string{"NO", "US"} {
		b.Run(code, func(b *testing.B) {
			p := country(b, code)
			b.ReportAllocs()
			for b.Loop() {
				Rank(p, sites)
			}
		})
	}
}
