// SPDX-License-Identifier: Apache-2.0

package dev

import (
	"io"
	"os"
	"strings"
	"testing"

	"meridian/topology"
)

func planned(t *testing.T, o Options) *Supervisor {
	t.Helper()
	p, err := NewPlan(o)
	if err != nil {
		t.Fatal(err)
	}
	return New(p, Programs{}, new(topology.Set), io.Discard)
}

func TestADirectoryStaysWithItsRegions(t *testing.T) {
	o := options(t)
	o.Regions = "us-east-1,lab@52.5:13.4"
	s := planned(t, o)
	if err := s.checkSettings(); err != nil {
		t.Fatalf("a new directory: %v", err)
	}
	if _, err := os.Stat(o.DataDir); !os.IsNotExist(err) {
		t.Errorf("looking at a directory makes it: %v", err)
	}
	if err := s.noteSettings(); err != nil {
		t.Fatal(err)
	}
	for _, same := range []string{"us-east-1,lab@52.5:13.4", "lab,us-east-1"} {
		o.Regions = same
		s := planned(t, o)
		if err := s.checkSettings(); err != nil {
			t.Errorf("%s: %v", same, err)
		}
		for _, r := range s.plan.Regions {
			if r.Name == "lab" && r.Latitude != 52.5 {
				t.Errorf("%s: lab is at %v", same, r.Latitude)
			}
		}
	}
	o.Regions = "us-east-1"
	err := planned(t, o).checkSettings()
	if err == nil {
		t.Fatal("other regions are taken")
	}
	_, rest, _ := strings.Cut(err.Error(), "run edge dev --regions ")
	o.Regions, _, _ = strings.Cut(rest, ", or")
	if err := planned(t, o).checkSettings(); err != nil {
		t.Errorf("the way out that was named, --regions %s: %v", o.Regions, err)
	}
}

func TestDamagedSettingsAreToldWithTheWayOut(t *testing.T) {
	o := options(t)
	if err := replaceFile(settingsFile(o.DataDir), []byte("{")); err != nil {
		t.Fatal(err)
	}
	err := planned(t, o).checkSettings()
	if err == nil || !strings.Contains(err.Error(), "is damaged") || !strings.Contains(err.Error(), "remove the directory "+o.DataDir) {
		t.Errorf("got %v", err)
	}
}
