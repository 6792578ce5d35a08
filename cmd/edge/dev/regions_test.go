// SPDX-License-Identifier: Apache-2.0

package dev

import (
	"fmt"
	"strings"
	"testing"

	"meridian/topology"
)

func TestRegionsAreReadByNameOrWithTheirPlace(t *testing.T) {
	before := map[topology.RegionID][2]float64{"attic": {1.5, -2.5}}
	many := make([]string, MaxRegions+1)
	for i := range many {
		many[i] = fmt.Sprintf("r%d@1:2", i)
	}
	for _, c := range []struct{ list, want, fault string }{
		{"us-east-1", "us-east-1 39.04 -77.49", ""},
		{" us-east-1 , eu-central-1", "us-east-1 39.04 -77.49, eu-central-1 50.11 8.68", ""},
		{"lab@52.5:13.4", "lab 52.5 13.4", ""},
		{"us-east-1@-1:2", "us-east-1 -1 2", ""},
		{"attic", "attic 1.5 -2.5", ""},
		{"attic@3:4", "attic 3 4", ""},
		{"atlantis", "", `the place of "atlantis" is not known; write NAME@LATITUDE:LONGITUDE`},
		{"", "", "is not known"},
		{"us-east-1,", "", "is not known"},
		{"us-east-1,us-east-1@1:2", "", "names us-east-1 twice"},
		{"lab@52.5", "", `"lab@52.5" is not a place`},
		{"lab@a:b", "", "is not a place"},
		{"lab@", "", "is not a place"},
		{"lab@91:0", "", "latitude"},
		{"lab@NaN:0", "", "latitude"},
		{"lab@0:Inf", "", "longitude"},
		{"@1:2", "", "name"},
		{"Lab@1:2", "", "name"},
		{strings.Repeat("a", 51) + "@1:2", "", "51 bytes; at most 50"},
		{strings.Join(many, ","), "", "names 21 regions; at most 20"},
	} {
		rs, err := parseRegions(c.list, before)
		var got []string
		for _, r := range rs {
			got = append(got, fmt.Sprint(r.Name, " ", r.Latitude, " ", r.Longitude))
		}
		if c.fault == "" && (err != nil || strings.Join(got, ", ") != c.want) {
			t.Errorf("%q: got %v, %v; want %s", c.list, got, err, c.want)
		}
		if c.fault != "" && (err == nil || !strings.Contains(err.Error(), c.fault) || !strings.HasPrefix(err.Error(), "--regions")) {
			t.Errorf("%q: got %v, %v; want an error with %q that names the flag", c.list, got, err, c.fault)
		}
	}
}

func TestEveryKnownRegionIsAProperOne(t *testing.T) {
	for name := range known {
		if _, err := parseRegions(name, nil); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := parseRegions(DefaultRegions, nil); err != nil {
		t.Error(err)
	}
}

func TestTheLongestRegionGivesNamesThatAreTaken(t *testing.T) {
	o := options(t)
	o.Regions, o.Workers = strings.Repeat("a", maxRegionBytes)+"@1:2", MaxWorkers
	p, err := NewPlan(o)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range append(p.Edges[0].Workers, p.Edges[0].Name) {
		if m := topology.Check(&topology.Region{Name: topology.RegionID(name)}); len(m) > 0 {
			t.Errorf("%s: %v", name, m)
		}
	}
}
