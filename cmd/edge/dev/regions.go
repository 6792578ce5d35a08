// SPDX-License-Identifier: Apache-2.0

package dev

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"meridian/topology"
)

// known holds where well-known cloud regions are, by the city that their operators name. Ours, to about 0.1 degrees.
var known = map[string][2]float64{
	"us-east-1": {39.04, -77.49}, "us-east-2": {39.96, -83.00}, "us-west-1": {37.35, -121.96}, "us-west-2": {45.84, -119.69},
	"ca-central-1": {45.50, -73.57}, "sa-east-1": {-23.55, -46.63}, "mx-central-1": {20.59, -100.39},
	"eu-west-1": {53.35, -6.26}, "eu-west-2": {51.51, -0.13}, "eu-west-3": {48.86, 2.35}, "eu-central-1": {50.11, 8.68},
	"eu-central-2": {47.38, 8.54}, "eu-north-1": {59.33, 18.07}, "eu-south-1": {45.46, 9.19}, "eu-south-2": {41.65, -0.88},
	"il-central-1": {32.08, 34.78}, "me-south-1": {26.07, 50.56}, "me-central-1": {24.45, 54.38}, "af-south-1": {-33.92, 18.42},
	"ap-south-1": {19.08, 72.88}, "ap-south-2": {17.39, 78.49}, "ap-southeast-1": {1.29, 103.85}, "ap-southeast-2": {-33.87, 151.21},
	"ap-southeast-3": {-6.21, 106.85}, "ap-east-1": {22.32, 114.17}, "ap-northeast-1": {35.68, 139.69}, "ap-northeast-2": {37.57, 126.98},
	"ap-northeast-3": {34.69, 135.50},
}

// parseRegions reads --regions. places are those of regions that were named with theirs before.
func parseRegions(list string, places map[topology.RegionID][2]float64) ([]*topology.Region, error) {
	var out []*topology.Region
	for item := range strings.SplitSeq(list, ",") {
		r, err := parseRegion(strings.TrimSpace(item), places)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(out, func(o *topology.Region) bool { return o.Name == r.Name }) {
			return nil, fmt.Errorf("--regions names %s twice", r.Name)
		}
		out = append(out, r)
	}
	if len(out) > MaxRegions {
		return nil, fmt.Errorf("--regions names %d regions; at most %d", len(out), MaxRegions)
	}
	return out, nil
}

// maxRegionBytes leaves room for what the names of edges and workers add, within topology's 63 bytes.
const maxRegionBytes = 50

func parseRegion(item string, places map[topology.RegionID][2]float64) (*topology.Region, error) {
	name, place, given := strings.Cut(item, "@")
	at, ok := known[name]
	if !ok {
		at, ok = places[topology.RegionID(name)]
	}
	if given {
		lat, lon, _ := strings.Cut(place, ":")
		var err1, err2 error
		at[0], err1 = strconv.ParseFloat(lat, 64)
		at[1], err2 = strconv.ParseFloat(lon, 64)
		if err1 != nil || err2 != nil {
			return nil, fmt.Errorf("--regions: %q is not a place; want NAME@LATITUDE:LONGITUDE, as in lab@52.5:13.4", item)
		}
	} else if !ok {
		return nil, fmt.Errorf("--regions: the place of %q is not known; write NAME@LATITUDE:LONGITUDE, as in lab@52.5:13.4", item)
	}
	if len(name) > maxRegionBytes {
		return nil, fmt.Errorf("--regions: the name %.20s… has %d bytes; at most %d", name, len(name), maxRegionBytes)
	}
	r := &topology.Region{Name: topology.RegionID(name), Latitude: at[0], Longitude: at[1]}
	if m := topology.Check(r); len(m) > 0 {
		return nil, fmt.Errorf("--regions: %w", m[0])
	}
	return r, nil
}
