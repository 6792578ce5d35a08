// SPDX-License-Identifier: Apache-2.0

package config_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"meridian/config"
)

var rewrite = flag.Bool("rewrite", false, "write what the stories give into their .want files")

// TestEveryMistakeIsNamedWithItsPlace reads testdata/*.yaml, each with a comment that says what it shows, and compares
// the problems with the .want file beside it.
func TestEveryMistakeIsNamedWithItsPlace(t *testing.T) {
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("got %d stories, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			compare(t, strings.TrimSuffix(file, ".yaml")+".want", tell(filepath.Base(file), b))
		})
	}
}

func tell(name string, b []byte) string {
	var problems []config.Problem
	if strings.HasPrefix(name, "edge") {
		_, problems = config.ParseEdge(name, b)
	} else {
		var f *config.TopologyFile
		f, problems = config.ParseTopology(name, b)
		problems = append(problems, f.CheckAlone()...)
	}
	var out strings.Builder
	for _, p := range problems {
		out.WriteString(p.Error() + "\n")
	}
	return out.String()
}

func compare(t *testing.T, file, got string) {
	t.Helper()
	if *rewrite {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs (-want +got); go test -rewrite writes it anew:\n%s", file, diff)
	}
}
