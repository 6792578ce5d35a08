// SPDX-License-Identifier: Apache-2.0

package geo

import (
	_ "embed"
	"fmt"
	"strconv"
	"strings"
	"sync"
)

//go:embed data/country-coords.tsv
var countryCoords string

//go:embed data/bigcountry-points.tsv
var bigCountryPoints string

// point is a city and its weight among the points of a country, which sum to 1.
type point struct {
	latitude, longitude, weight float64
}

// atlas holds what is known of countries. Read-only once made.
type atlas struct {
	place  map[string]Place
	points map[string][]point // only of countries with more than the principal city
}

var world = sync.OnceValue(func() *atlas {
	a, err := parseAtlas(countryCoords, bigCountryPoints)
	if err != nil {
		panic(fmt.Sprintf("geo: embedded countries: %v", err)) // a broken build: the tests parse the same bytes
	}
	return a
})

// Country returns the place of a country by its ISO 3166-1 alpha-2 code, upper case: its continent and the coordinates
// of its principal city. ok is false for a code without coordinates; the Place then holds the code and is not Known.
func Country(code string) (p Place, ok bool) {
	if p, ok = world().place[code]; !ok {
		p = Place{Country: code}
	}
	return p, ok
}

func parseAtlas(coords, points string) (*atlas, error) {
	a := &atlas{place: map[string]Place{}, points: map[string][]point{}}
	err := eachRow(coords, 4, func(f []string) error {
		lat, err := degrees(f[2], 90)
		if err != nil {
			return err
		}
		lon, err := degrees(f[3], 180)
		if err != nil {
			return err
		}
		if _, twice := a.place[f[0]]; twice || len(f[0]) != 2 || len(f[1]) != 2 {
			return fmt.Errorf("country %q of continent %q: want two letters each, and each country once", f[0], f[1])
		}
		a.place[f[0]] = Place{Country: f[0], Continent: f[1], Latitude: lat, Longitude: lon, Known: true}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("coordinates: %w", err)
	}
	err = eachRow(points, 2, func(f []string) error {
		lat, lon, err := isoCoordinates(f[1])
		if _, known := a.place[f[0]]; !known && err == nil {
			err = fmt.Errorf("country %q has no principal city", f[0])
		}
		a.points[f[0]] = append(a.points[f[0]], point{latitude: lat, longitude: lon})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("points: %w", err)
	}
	a.weigh()
	return a, nil
}

// weigh gives the principal city one half and all points, it included, an equal share of the other half.
func (a *atlas) weigh() {
	for code, points := range a.points {
		for i := range points {
			points[i].weight = 0.5 / float64(len(points))
		}
		p := a.place[code]
		a.points[code] = append(points, point{p.Latitude, p.Longitude, 0.5})
	}
}

// eachRow calls row with the tab-separated fields of each line that is neither empty nor a comment.
func eachRow(text string, fields int, row func([]string) error) error {
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimRight(line, "\r\n")
		if line == "" || line[0] == '#' {
			continue
		}
		f := strings.Split(line, "\t")
		if len(f) < fields {
			return fmt.Errorf("line %d: %d fields, want %d", n, len(f), fields)
		}
		if err := row(f); err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
	}
	return nil
}

func degrees(s string, bound float64) (float64, error) {
	v, err := strconv.ParseFloat(s, 64)
	if err != nil || !(v >= -bound && v <= bound) {
		return 0, fmt.Errorf("%q degrees: want a number from %v to %v", s, -bound, bound)
	}
	return v, nil
}

// isoCoordinates reads ±DDMM±DDDMM or ±DDMMSS±DDDMMSS, as zone.tab writes them (ISO 6709).
func isoCoordinates(s string) (latitude, longitude float64, err error) {
	cut := strings.LastIndexAny(s, "+-")
	if cut < 1 {
		return 0, 0, fmt.Errorf("coordinates %q: want ±DDMM±DDDMM or ±DDMMSS±DDDMMSS", s)
	}
	latitude, err = sexagesimal(s[:cut], 2, 90)
	if err == nil {
		longitude, err = sexagesimal(s[cut:], 3, 180)
	}
	if err != nil {
		return 0, 0, fmt.Errorf("coordinates %q: %w", s, err)
	}
	return latitude, longitude, nil
}

func sexagesimal(s string, width int, bound float64) (float64, error) {
	digits := strings.TrimLeft(s, "+-")
	if len(s)-len(digits) != 1 || (len(digits) != width+2 && len(digits) != width+4) {
		return 0, fmt.Errorf("%q: want a sign and %d or %d digits", s, width+2, width+4)
	}
	var parts [3]uint64
	for i, d := range []string{digits[:width], digits[width : width+2], digits[width+2:]} {
		if d == "" {
			continue
		}
		v, err := strconv.ParseUint(d, 10, 16)
		if err != nil || (i > 0 && v > 59) {
			return 0, fmt.Errorf("%q: not degrees, minutes and seconds", s)
		}
		parts[i] = v
	}
	v := float64(parts[0]) + float64(parts[1])/60 + float64(parts[2])/3600
	if v > bound {
		return 0, fmt.Errorf("%q: beyond %v degrees", s, bound)
	}
	if s[0] == '-' {
		v = -v
	}
	return v, nil
}
