// SPDX-License-Identifier: Apache-2.0

package geo

import (
	"cmp"
	"math"
	"slices"

	"meridian/topology"
)

// earthRadiusKm is the mean radius of the Earth (IUGG).
const earthRadiusKm = 6371.0088

// Distance returns the length in km of the great circle between two points in degrees, by the haversine formula. On the
// real Earth, which is no sphere, it is within 0.6 %. A coordinate that is not a number gives one that is not.
func Distance(lat1, lon1, lat2, lon2 float64) float64 {
	const rad = math.Pi / 180
	sinLat := math.Sin((lat2 - lat1) * rad / 2)
	sinLon := math.Sin((lon2 - lon1) * rad / 2)
	h := sinLat*sinLat + math.Cos(lat1*rad)*math.Cos(lat2*rad)*sinLon*sinLon
	return 2 * earthRadiusKm * math.Asin(math.Sqrt(min(h, 1))) // rounding may pass 1 for antipodes
}

// Site is where a region is.
type Site struct {
	Region topology.RegionID
	// Latitude is in degrees, north positive, Longitude east positive, as in topology.Region.
	Latitude, Longitude float64
}

// Ranked is a region and how far it is from a place.
type Ranked struct {
	Region topology.RegionID `json:"region"`
	// DistanceKm is in km, for a country with several points their weighted mean; -1 if the place is not known.
	DistanceKm float64 `json:"distance_km"`
}

// unknownKm is the distance where there is nothing to measure from. JSON has no NaN.
const unknownKm = -1

// Rank returns the regions of sites, nearest to p first; equally far ones by name. If p is not Known, all are by name.
// The rule for countries with several points stands in the package comment; p's own coordinates don't count for them.
func Rank(p Place, sites []Site) []Ranked {
	from := []point{{p.Latitude, p.Longitude, 1}}
	if points := world().points[p.Country]; !p.Exact && len(points) > 0 {
		from = points
	}
	if !p.Known {
		from = nil
	}
	ranked := make([]Ranked, len(sites))
	for i, s := range sites {
		ranked[i] = Ranked{s.Region, s.distance(from)}
	}
	slices.SortFunc(ranked, func(a, b Ranked) int {
		return cmp.Or(cmp.Compare(a.DistanceKm, b.DistanceKm), cmp.Compare(a.Region, b.Region))
	})
	return ranked
}

func (s Site) distance(from []point) float64 {
	if len(from) == 0 {
		return unknownKm
	}
	sum := 0.0
	for _, p := range from {
		sum += p.weight * Distance(p.latitude, p.longitude, s.Latitude, s.Longitude)
	}
	if math.IsNaN(sum) {
		return math.MaxFloat64 // bad coordinates are far from everything, not nearest; topology refuses them anyway
	}
	return sum
}
