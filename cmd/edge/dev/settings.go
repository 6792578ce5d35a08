// SPDX-License-Identifier: Apache-2.0

package dev

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"meridian/topology"
)

// settings is what a data directory was made for; the store in it holds these regions.
type settings struct {
	Regions []topology.RegionID `json:"regions"`
	// Places are latitude and longitude of the regions that are not well known, so that their names are enough next time.
	Places map[topology.RegionID][2]float64 `json:"places,omitempty"`
}

func (p *Plan) settings() settings {
	v := settings{Places: map[topology.RegionID][2]float64{}}
	for _, r := range p.Regions {
		v.Regions = append(v.Regions, r.Name)
		if _, ok := known[string(r.Name)]; !ok {
			v.Places[r.Name] = [2]float64{r.Latitude, r.Longitude}
		}
	}
	return v
}

// checkSettings compares the plan with what the data directory was made for.
func (s *Supervisor) checkSettings() error {
	want := s.plan.settings()
	have, err := readSettings(s.plan.DataDir)
	if err != nil || have == nil {
		return err
	}
	slices.Sort(have.Regions)
	slices.Sort(want.Regions)
	if !slices.Equal(have.Regions, want.Regions) {
		return fmt.Errorf("%s holds a fleet of the regions %s; run edge dev --regions %s, or choose another --data-dir, or remove that directory to start anew",
			s.plan.DataDir, join(have.Regions, ", "), join(have.Regions, ","))
	}
	return nil
}

// noteSettings writes down what the data directory is for: just before the store gets its first topology, so that a
// start that fails earlier binds nobody.
func (s *Supervisor) noteSettings() error {
	b, err := json.Marshal(s.plan.settings())
	if err != nil {
		return err
	}
	return replaceFile(settingsFile(s.plan.DataDir), b)
}

// readSettings returns what a data directory was made for, nil for a new one.
func readSettings(dir string) (*settings, error) {
	b, err := os.ReadFile(settingsFile(dir))
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	v := new(settings)
	if err := json.Unmarshal(b, v); err != nil {
		return nil, fmt.Errorf("%s is damaged (%w); remove the directory %s to start anew", settingsFile(dir), err, dir)
	}
	return v, nil
}

func settingsFile(dir string) string { return filepath.Join(dir, "settings.json") }

// replaceFile writes a file that readers see whole or not at all.
func replaceFile(path string, b []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	next := path + ".next"
	if err := os.WriteFile(next, b, 0o600); err != nil {
		return err
	}
	return os.Rename(next, path)
}

func join(ids []topology.RegionID, sep string) string {
	var b strings.Builder
	for i, id := range ids {
		if i > 0 {
			b.WriteString(sep)
		}
		b.WriteString(string(id))
	}
	return b.String()
}
