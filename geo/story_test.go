// SPDX-License-Identifier: Apache-2.0

package geo

import (
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"meridian/topology"
)

var rewrite = flag.Bool("rewrite", false, "write what the stories give into testdata")

// TestStories runs testdata/*.txt: blocks of a command, a line of ----, and its output up to an empty line. Lines that
// begin with # between blocks are comments. The commands:
//
//	sites REGION=LAT,LON ...         sets the regions
//	locate ADDRESS                   prints the place
//	choose ADDRESS [own=R] [down=R]  prints the choice; a region that is down says so
func TestStories(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no stories: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := tell(t, string(b))
			if *rewrite {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if d := cmp.Diff(string(b), got); d != "" {
				t.Errorf("the story goes otherwise (-want +got; -rewrite accepts it):\n%s", d)
			}
		})
	}
}

// tell returns text with the output of each command replaced by what it gives now.
func tell(t *testing.T, text string) string {
	var out strings.Builder
	var s story
	for block := range strings.SplitSeq(strings.TrimRight(text, "\n"), "\n\n") {
		head, _, isCommand := strings.Cut(block, "\n----")
		out.WriteString(head + "\n")
		if isCommand {
			lines := strings.Split(head, "\n")
			out.WriteString("----\n" + s.run(t, strings.Fields(lines[len(lines)-1])))
		}
		out.WriteString("\n")
	}
	return strings.TrimRight(out.String(), "\n") + "\n"
}

type story struct{ sites []Site }

func (s *story) run(t *testing.T, words []string) string {
	t.Helper()
	switch words[0] {
	case "sites":
		s.sites = nil
		for _, w := range words[1:] {
			name, at, _ := strings.Cut(w, "=")
			lat, lon, _ := strings.Cut(at, ",")
			s.sites = append(s.sites, Site{topology.RegionID(name), number(t, lat), number(t, lon)})
		}
		return fmt.Sprintf("%d sites\n", len(s.sites))
	case "locate":
		return Embedded().Locate(netip.MustParseAddr(words[1])).Describe() + "\n"
	case "choose":
		var own topology.RegionID
		down := map[topology.RegionID]bool{}
		for _, w := range words[2:] {
			if r, ok := strings.CutPrefix(w, "own="); ok {
				own = topology.RegionID(r)
			} else if r, ok := strings.CutPrefix(w, "down="); ok {
				down[topology.RegionID(r)] = true
			} else {
				t.Fatalf("choose: what is %q?", w)
			}
		}
		return Choose(Embedded().Locate(netip.MustParseAddr(words[1])), s.sites, own, func(r topology.RegionID) (bool, string) {
			if down[r] {
				return false, "0 of 2 nodes up"
			}
			return true, "2 of 2 nodes up"
		}).Describe()
	}
	t.Fatalf("no such command: %q", words)
	return ""
}

func number(t *testing.T, s string) float64 {
	t.Helper()
	v, err := strconv.ParseFloat(s, 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}
