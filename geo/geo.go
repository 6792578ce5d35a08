// SPDX-License-Identifier: Apache-2.0

// Package geo says where an address is and which region is best for it: address to place by a sorted table, place and
// regions to a ranking, ranking and health to a choice with its reasons.
//
// It leaves DNS, files and health to others: geo/mmdb reads MMDB files into the same Table, the caller says which
// region can serve. It starts no goroutine, and nothing here waits.
//
//	place := geo.Embedded().Locate(client)
//	choice := geo.Choose(place, sites, own, canServe)
//	answer(choice.Region, choice.Prefix) // Prefix bounds the ECS scope of RFC 7871
//	fmt.Print(choice.Describe())
//
// # The data
//
// The embedded table knows countries only: it is made by geo/mmdb/flatten from ip-location-db's geo-whois-asn-country
// (see NOTICE), IPv6 cut at /64. Its publisher says that this edition has mistakes and will not be continued:
// Table.Built tells its age, and an MMDB file replaces it. Reserved addresses are never known, whatever the data say. A
// country stands at its principal city, as tzdata's zone.tab has it, not at its geometric centre, which for Russia or
// Canada is where nobody lives.
//
// # Countries that span a continent
//
// Nine countries (US, CA, RU, BR, AU, ID, MX, CN, KZ) have further points. The distance of such a country to a region
// is a weighted mean over its points: the principal city counts one half, and all points, it included, share the other
// half equally. There is no population data behind it. Rejected: the nearest point, because it would send all of Russia
// to Tokyo for the sake of Vladivostok; and the plain mean, because it gives Vladivostok as much say as Moscow. What
// remains wrong is inherent in country data: one country gets one ranking, so Los Angeles is ranked like New York. An
// MMDB file with coordinates separates them.
package geo

import "net/netip"

// Place is where an address is, as far as a source knows. Places are values and may be compared with ==. The zero value
// is an unknown place with no prefix.
type Place struct {
	// Country is the ISO 3166-1 alpha-2 code in upper case; "" if unknown.
	Country string `json:"country,omitempty"`
	// Continent is AF, AN, AS, EU, NA, OC or SA; "" if unknown.
	Continent string `json:"continent,omitempty"`
	// Latitude is in degrees, north positive. It means nothing unless Known.
	Latitude float64 `json:"latitude"`
	// Longitude is in degrees, east positive. It means nothing unless Known.
	Longitude float64 `json:"longitude"`
	// Known says that the coordinates may be used. Private, reserved and unallocated addresses are not known.
	Known bool `json:"known"`
	// Exact says that the coordinates are those of the address's own network. If false they are those of the country's
	// principal city, and Rank looks at further points of a large country.
	Exact bool `json:"exact,omitempty"`
	// Prefix is the largest prefix around the address in which every address has this same Place. It is as long as the
	// family of the address that was asked; an IPv4-mapped address counts as IPv4. Never longer than /64 for IPv6,
	// but for the ranges whose addresses carry IPv4 addresses.
	Prefix netip.Prefix `json:"prefix"`
	// Source names the data: "embedded", or "mmdb:FILE".
	Source string `json:"source"`
}

// Locator says where addresses are. Implementations are safe for concurrent use and answer at once, from memory.
type Locator interface {
	Locate(netip.Addr) Place
}
