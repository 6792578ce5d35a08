// SPDX-License-Identifier: Apache-2.0

package mmdb

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/oschwald/maxminddb-golang/v2"

	"meridian/geo"
)

const (
	// leavesAtMost bounds the networks of a file, those without data included. Nodes of the search tree may be shared, so
	// that a small file can unfold to any number of networks. Public city databases have some 10 million.
	leavesAtMost = 48 << 20
	// maxNodes bounds the nodes of the search tree. Public city databases have some 6 million.
	maxNodes = 24 << 20
	// maxRecords bounds the distinct records of a file. Public city databases have some 200,000.
	maxRecords = 4 << 20
	// maxBuildEpoch is the end of the year 9999, the last that JSON can carry as a time.
	maxBuildEpoch = 253_402_300_799
	// vagueKm is the accuracy radius from which coordinates stand for a whole country.
	vagueKm = 500
)

// record is what is read of a record; the rest is passed over.
type record struct {
	CountryCode string `maxminddb:"country_code"`
	Country     struct {
		ISOCode string `maxminddb:"iso_code"`
	} `maxminddb:"country"`
	RegisteredCountry struct {
		ISOCode string `maxminddb:"iso_code"`
	} `maxminddb:"registered_country"`
	Continent struct {
		Code string `maxminddb:"code"`
	} `maxminddb:"continent"`
	Location struct {
		Latitude       *float64 `maxminddb:"latitude"`
		Longitude      *float64 `maxminddb:"longitude"`
		AccuracyRadius uint16   `maxminddb:"accuracy_radius"`
	} `maxminddb:"location"`
}

// flatten turns the bytes of a file with at most maxLeaves networks into a table.
func flatten(name string, b []byte, maxLeaves int) (*geo.Table, error) {
	r, err := verified(b)
	if err != nil {
		return nil, err
	}
	f := &flattener{
		builder: geo.NewBuilder("mmdb:"+name, r.Metadata.BuildTime()),
		places:  map[uintptr]geo.Place{},
	}
	leaves := 0
	// Networks without data and aliases are asked for too, though Add passes over them: else a hostile tree could keep
	// the iterator busy where we cannot count.
	for result := range r.Networks(maxminddb.IncludeNetworksWithoutData(), maxminddb.IncludeAliasedNetworks()) {
		if leaves++; leaves > maxLeaves {
			return nil, fmt.Errorf("more than %d networks", maxLeaves)
		}
		if err := f.add(result); err != nil {
			return nil, err
		}
	}
	if !f.located {
		return nil, fmt.Errorf("no network has a country_code, country.iso_code or location: it is of type %.100q", r.Metadata.DatabaseType)
	}
	return f.builder.Table(), nil
}

// verified returns a reader of b after the library's own thorough check.
func verified(b []byte) (*maxminddb.Reader, error) {
	if len(b) > MaxFileBytes {
		return nil, fmt.Errorf("%d bytes, want at most %d", len(b), MaxFileBytes)
	}
	r, err := maxminddb.OpenBytes(b)
	if err != nil {
		return nil, err
	}
	if r.Metadata.NodeCount > maxNodes {
		return nil, fmt.Errorf("a search tree of %d nodes, want at most %d", r.Metadata.NodeCount, maxNodes)
	}
	if uint64(r.Metadata.BuildEpoch) > maxBuildEpoch {
		return nil, fmt.Errorf("build_epoch is %d, want the seconds since 1970 of a year up to 9999", r.Metadata.BuildEpoch)
	}
	if len(r.Metadata.Description) == 0 {
		// Verify wants one, but the format does not, and ip-location-db's files have none.
		r.Metadata.Description = map[string]string{"en": r.Metadata.DatabaseType}
	}
	return r, r.Verify()
}

// flattener carries the state of one flatten.
type flattener struct {
	builder *geo.Builder
	places  map[uintptr]geo.Place // by the record's offset in the file, so that each is decoded once
	located bool
}

// allIPv4 is where files of both families keep IPv4.
var allIPv4 = netip.MustParsePrefix("::/96")

func (f *flattener) add(r maxminddb.Result) error {
	if err := r.Err(); err != nil {
		return err
	}
	if !r.Found() {
		return nil
	}
	place, err := f.place(r)
	if err != nil || place == (geo.Place{}) {
		return err
	}
	f.located = f.located || place.Known
	p := r.Prefix()
	if p.Addr().Is6() && p.Contains(allIPv4.Addr()) && p.Bits() <= allIPv4.Bits() { // one record for all of IPv4, and perhaps more
		if err := f.builder.Add(netip.PrefixFrom(netip.IPv4Unspecified(), 0), place); err != nil {
			return err
		}
	}
	return f.builder.Add(p, place)
}

func (f *flattener) place(r maxminddb.Result) (geo.Place, error) {
	if p, ok := f.places[r.Offset()]; ok {
		return p, nil
	}
	if len(f.places) >= maxRecords {
		return geo.Place{}, fmt.Errorf("more than %d records", maxRecords)
	}
	var rec record
	if err := r.Decode(&rec); err != nil {
		return geo.Place{}, fmt.Errorf("record of %s: %w", r.Prefix(), err)
	}
	p, err := rec.place()
	if err != nil {
		return geo.Place{}, fmt.Errorf("record of %s: %w", r.Prefix(), err)
	}
	f.places[r.Offset()] = p
	return p, nil
}

// place is the zero Place for a record that says nothing of a place.
func (r *record) place() (geo.Place, error) {
	code := r.Country.ISOCode
	if code == "" {
		code = r.CountryCode
	}
	if code == "" {
		code = r.RegisteredCountry.ISOCode
	}
	if !isCode(code) || !isCode(r.Continent.Code) {
		return geo.Place{}, fmt.Errorf("country %.20q, continent %.20q: want two upper-case letters or digits", code, r.Continent.Code)
	}
	p, _ := geo.Country(code)
	if r.Continent.Code != "" {
		p.Continent = r.Continent.Code
	}
	lat, lon := r.Location.Latitude, r.Location.Longitude
	if lat == nil || lon == nil {
		return p, nil
	}
	if !(*lat >= -90 && *lat <= 90 && *lon >= -180 && *lon <= 180) { // written so that NaN is refused
		return geo.Place{}, errors.New("location is out of bounds; want -90 to 90 and -180 to 180 degrees")
	}
	if p.Known && r.Location.AccuracyRadius > vagueKm {
		return p, nil
	}
	p.Latitude, p.Longitude, p.Known, p.Exact = *lat, *lon, true, true
	return p, nil
}

// isCode reports whether s is empty or looks like a code of ISO 3166-1 or of a continent. What passes is shown to people
// and put into metrics, so it is held to two plain bytes.
func isCode(s string) bool {
	if s == "" {
		return true
	}
	if len(s) != 2 {
		return false
	}
	for _, c := range []byte(s) {
		if (c < 'A' || c > 'Z') && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}
