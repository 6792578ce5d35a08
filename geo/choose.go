// SPDX-License-Identifier: Apache-2.0

package geo

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"

	"meridian/topology"
)

// Choice is the region for a place, and why. It holds until a region's ability to serve changes.
type Choice struct {
	// Region is the answer; "" only if there was no site at all.
	Region topology.RegionID `json:"region"`
	Place  Place             `json:"place"`
	// Prefix is the widest known prefix around the address for which the ranking is the same: an upper bound for the
	// ECS scope (RFC 7871, section 7.2.1). With at most one site that is every address of the family. It does not
	// widen when regions go down, so that caches keep their cells when they come back.
	Prefix netip.Prefix `json:"prefix"`
	// Considered has every site, in the order of preference.
	Considered []Considered `json:"considered"`
	// FailOpen says that no region can serve and the first was taken as if all could.
	FailOpen bool `json:"fail_open,omitempty"`
	// Default says that the place is not known: the own region was preferred, then those nearest to it.
	Default bool `json:"default,omitempty"`
}

// Considered is one region of a Choice.
type Considered struct {
	Region topology.RegionID `json:"region"`
	// DistanceKm is from the place, if that is unknown from the own region, and -1 if that is unknown too.
	DistanceKm float64 `json:"distance_km"`
	CanServe   bool    `json:"can_serve"`
	// Reason is why the region can serve or cannot, for people, as the caller's canServe gave it.
	Reason string `json:"reason,omitempty"`
	Chosen bool   `json:"chosen,omitempty"`
}

// Choose picks the first region that can serve, in the order of Rank. For a place that is not known, own comes first and
// the others by their distance from own; if own is not among the sites, all by name. If no region can serve, it picks as
// if all could (FailOpen), because a wrong answer may still work and none cannot. canServe is called once per site; nil
// means that all can serve.
func Choose(place Place, sites []Site, own topology.RegionID, canServe func(topology.RegionID) (bool, string)) Choice {
	c := Choice{Place: place, Prefix: place.Prefix, Default: !place.Known}
	if len(sites) <= 1 && place.Prefix.IsValid() {
		c.Prefix = netip.PrefixFrom(place.Prefix.Addr(), 0).Masked()
	}
	ranked := Rank(place, sites)
	if c.Default {
		ranked = rankFromOwn(sites, own)
	}
	c.Considered = make([]Considered, len(ranked))
	chosen := -1
	for i, r := range ranked {
		ok, reason := true, ""
		if canServe != nil {
			ok, reason = canServe(r.Region)
		}
		c.Considered[i] = Considered{Region: r.Region, DistanceKm: r.DistanceKm, CanServe: ok, Reason: reason}
		if ok && chosen < 0 {
			chosen = i
		}
	}
	if len(ranked) == 0 {
		return c
	}
	if chosen < 0 {
		chosen, c.FailOpen = 0, true
	}
	c.Considered[chosen].Chosen = true
	c.Region = ranked[chosen].Region
	return c
}

// rankFromOwn ranks by the distance from own, which comes first even if another region stands at the same place.
func rankFromOwn(sites []Site, own topology.RegionID) []Ranked {
	var from Place
	for _, s := range sites {
		if s.Region == own {
			from = Place{Latitude: s.Latitude, Longitude: s.Longitude, Known: true, Exact: true}
		}
	}
	ranked := Rank(from, sites)
	slices.SortStableFunc(ranked, func(a, b Ranked) int {
		switch {
		case a.Region == own && b.Region != own:
			return -1
		case b.Region == own && a.Region != own:
			return 1
		}
		return 0
	})
	return ranked
}

// Describe explains the choice to people: the place, then one line per region in the order of preference.
func (c Choice) Describe() string {
	var b strings.Builder
	fmt.Fprintf(&b, "place: %s\n", c.Place.Describe())
	if c.Default {
		fmt.Fprintln(&b, "the place is not known: own region first, then the nearest to it")
	}
	for i, r := range c.Considered {
		fmt.Fprintf(&b, "%d. %s", i+1, r.Region)
		if r.DistanceKm >= 0 {
			fmt.Fprintf(&b, ", %.0f km", r.DistanceKm)
		}
		b.WriteString(map[bool]string{true: ", can serve", false: ", cannot serve"}[r.CanServe])
		if r.Reason != "" {
			fmt.Fprintf(&b, " (%s)", r.Reason)
		}
		if r.Chosen {
			b.WriteString(" <- chosen")
		}
		b.WriteByte('\n')
	}
	switch {
	case len(c.Considered) == 0:
		fmt.Fprintln(&b, "there is no region to choose from")
	case c.FailOpen:
		fmt.Fprintln(&b, "no region can serve: chosen as if all could")
	}
	if c.Prefix.IsValid() {
		fmt.Fprintf(&b, "this order holds for %s\n", c.Prefix)
	}
	return b.String()
}

// Describe says in one line what is known of the place: "GB (EU), 51.50°N 0.12°W, for 81.2.64.0/20, embedded".
func (p Place) Describe() string {
	var parts []string
	switch {
	case p.Country != "" && p.Continent != "":
		parts = append(parts, p.Country+" ("+p.Continent+")")
	case p.Country+p.Continent != "":
		parts = append(parts, p.Country+p.Continent)
	}
	if p.Known {
		parts = append(parts, hemisphere(p.Latitude, "N", "S")+" "+hemisphere(p.Longitude, "E", "W"))
	} else {
		parts = append(parts, "unknown")
	}
	if p.Prefix.IsValid() {
		parts = append(parts, "for "+p.Prefix.String())
	}
	if p.Source != "" {
		parts = append(parts, p.Source)
	}
	return strings.Join(parts, ", ")
}

func hemisphere(v float64, positive, negative string) string {
	if v < 0 {
		positive = negative
	}
	return fmt.Sprintf("%.2f°%s", math.Abs(v), positive)
}
