// SPDX-License-Identifier: Apache-2.0

package mmdb

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"meridian/geo"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type rec = map[string]any

var day = time.Date(2026, 6, 17, 0, 0, 0, 0, time.UTC)

func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

// countryFile is like a file of ip-location-db: country_code only, no description, IPv4 also under its IPv6 aliases.
func countryFile(t testing.TB, built time.Time) []byte {
	w := newWriter(6, 24, built)
	w.described, w.dbType = false, "country ipvAll"
	w.put(t, prefix("81.2.64.0/18"), rec{"country_code": "GB"})
	w.put(t, prefix("193.156.0.0/15"), rec{"country_code": "NO"})
	w.put(t, prefix("192.168.0.0/16"), rec{"country_code": "AU"})
	w.put(t, prefix("2001:700::/32"), rec{"country_code": "NO"})
	w.put(t, prefix("2a00:1450::/29"), rec{"country_code": "IE"})
	v4 := w.nodeAt(prefix("::/96"))
	for _, alias := range []string{"::ffff:0:0/96", "2001::/32", "2002::/16"} {
		w.link(t, prefix(alias), v4)
	}
	return w.bytes()
}

// cityFile is like a GeoLite2 City file.
func cityFile(t testing.TB, version, bits int) []byte {
	w := newWriter(version, bits, day)
	city := func(country string, lat, lon float64, radius uint16) rec {
		return rec{"country": rec{"iso_code": country, "names": rec{"en": "x"}}, "continent": rec{"code": "NA"}, "location": rec{"latitude": lat, "longitude": lon, "accuracy_radius": radius}}
	}
	w.put(t, prefix("128.97.0.0/16"), city("US", 34.05, -118.24, 20))
	w.put(t, prefix("128.98.0.0/16"), city("US", 37.751, -97.822, 1000))
	w.put(t, prefix("128.100.0.0/16"), rec{"registered_country": rec{"iso_code": "CA"}})
	w.put(t, prefix("128.101.0.0/16"), rec{"continent": rec{"code": "EU"}})
	w.put(t, prefix("128.102.0.0/16"), rec{"other": "x"})
	return w.bytes()
}

func open(t testing.TB, b []byte) *DB {
	t.Helper()
	db, err := OpenBytes("test.mmdb", b)
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func TestACountryFileGivesPrincipalCities(t *testing.T) {
	db := open(t, countryFile(t, day))
	for addr, want := range map[string]string{
		"81.2.69.160":        "GB (EU), 51.51°N 0.13°W, for 81.2.64.0/18, mmdb:test.mmdb",
		"::ffff:81.2.69.160": "GB (EU), 51.51°N 0.13°W, for 81.2.64.0/18, mmdb:test.mmdb",
		"2002:5102:45a0::1":  "GB (EU), 51.51°N 0.13°W, for 2002:5102:4000::/34, mmdb:test.mmdb",
		"2a00:1450:4001::1":  "IE (EU), 53.33°N 6.25°W, for 2a00:1450::/29, mmdb:test.mmdb",
		"82.0.0.1":           "unknown, for 82.0.0.0/7, mmdb:test.mmdb",
		"192.168.1.1":        "unknown, for 192.0.0.0/8, mmdb:test.mmdb",
	} {
		if got := db.Locate(netip.MustParseAddr(addr)).Describe(); got != want {
			t.Errorf("Locate(%s): %s, want %s", addr, got, want)
		}
	}
	if !db.Built().Equal(day) {
		t.Errorf("built %v, want %v", db.Built(), day)
	}
}

func TestACityFileGivesExactCoordinatesUnlessTheyAreVague(t *testing.T) {
	for _, version := range []int{4, 6} {
		for _, bits := range []int{24, 28, 32} {
			db := open(t, cityFile(t, version, bits))
			for addr, want := range map[string]geo.Place{
				"128.97.1.1":  {Country: "US", Continent: "NA", Latitude: 34.05, Longitude: -118.24, Known: true, Exact: true},
				"128.98.1.1":  known("US"),
				"128.100.1.1": known("CA"),
				"128.101.1.1": {Continent: "EU"},
				"128.102.1.1": {},
			} {
				got := db.Locate(netip.MustParseAddr(addr))
				if !got.Prefix.Contains(netip.MustParseAddr(addr)) || got.Source != "mmdb:test.mmdb" {
					t.Errorf("IPv%d file of %d bits: Locate(%s) = %+v", version, bits, addr, got)
				}
				if got.Prefix, got.Source = (netip.Prefix{}), ""; got != want {
					t.Errorf("IPv%d file of %d bits: Locate(%s) = %+v, want %+v", version, bits, addr, got, want)
				}
			}
		}
	}
}

func known(code string) geo.Place {
	p, _ := geo.Country(code)
	return p
}

func TestOneRecordForEverythingCoversBothFamilies(t *testing.T) {
	for _, p := range []string{"::/0", "::/1", "::/96"} {
		w := newWriter(6, 24, day)
		w.put(t, prefix(p), rec{"country_code": "GB"})
		db := open(t, w.bytes())
		if got := db.Locate(netip.MustParseAddr("81.2.69.160")); got.Country != "GB" {
			t.Errorf("with %s, 81.2.69.160 is at %+v", p, got)
		}
		if got := db.Locate(netip.MustParseAddr("2a00::1")); (got.Country == "GB") != (p != "::/96") {
			t.Errorf("with %s, 2a00::1 is at %+v", p, got)
		}
	}
	w := newWriter(4, 24, day)
	w.put(t, prefix("0.0.0.0/0"), rec{"country_code": "GB"})
	if got := open(t, w.bytes()).Locate(netip.MustParseAddr("81.2.69.160")); got.Country != "GB" {
		t.Errorf("with 0.0.0.0/0 in an IPv4 file, 81.2.69.160 is at %+v", got)
	}
}

func TestFilesThatCannotBeUsedAreRefusedWithTheReason(t *testing.T) {
	one := func(record any) []byte {
		w := newWriter(4, 24, day)
		w.put(t, prefix("81.2.64.0/18"), record)
		return w.bytes()
	}
	location := func(lat, lon float64) rec {
		return rec{"country_code": "GB", "location": rec{"latitude": lat, "longitude": lon}}
	}
	future := newWriter(4, 24, time.Unix(maxBuildEpoch+1, 0))
	future.put(t, prefix("81.2.64.0/18"), rec{"country_code": "GB"})
	for want, b := range map[string][]byte{
		"build_epoch is 2534":  future.bytes(),
		"no network has":       one(rec{"autonomous_system_number": uint32(1)}),
		"want two upper-case":  one(rec{"country_code": "gb"}),
		"continent \"Europe\"": one(rec{"country_code": "GB", "continent": rec{"code": "Europe"}}),
		"out of bounds":        one(location(91, 0)),
		"81.2.64.0/18":         one(location(0, nan)),
		"record of":            one(rec{"country_code": uint32(7)}),
		"mmdb test.mmdb: ":     []byte("not an MMDB file"),
		"invalid MaxMind DB":   nil,
	} {
		if _, err := OpenBytes("test.mmdb", b); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("err = %v, want %q in it", err, want)
		}
	}
}
