// SPDX-License-Identifier: Apache-2.0

package topology

// Region is a place with edges and nodes.
type Region struct {
	Version Version  `json:"version"`
	Name    RegionID `json:"name"`
	// Latitude is in degrees, north positive, -90 to 90.
	Latitude float64 `json:"latitude"`
	// Longitude is in degrees, east positive, -180 to 180.
	Longitude float64 `json:"longitude"`
}

// Key implements Resource.
func (r *Region) Key() Key { return Key{KindRegion, string(r.Name)} }

func (r *Region) check(c *checker) {
	c.version(r.Version)
	c.name("name", string(r.Name))
	if !(r.Latitude >= -90 && r.Latitude <= 90) { // written so that NaN is refused
		c.mistake("latitude", "%v is out of bounds; want -90 to 90 degrees", r.Latitude)
	}
	if !(r.Longitude >= -180 && r.Longitude <= 180) {
		c.mistake("longitude", "%v is out of bounds; want -180 to 180 degrees", r.Longitude)
	}
}

func (r *Region) refs(Set, *checker) {}
