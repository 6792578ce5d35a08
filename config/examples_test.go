// SPDX-License-Identifier: Apache-2.0

package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"meridian/config"
	"meridian/topology"
)

func TestEveryExampleIsRight(t *testing.T) {
	files, err := filepath.Glob("../etc/examples/*.yaml")
	if err != nil || len(files) < 3 {
		t.Fatalf("got %d examples, %v", len(files), err)
	}
	for _, file := range files {
		for _, problem := range problemsOf(t, file) {
			t.Error(problem)
		}
	}
}

func problemsOf(t *testing.T, file string) []config.Problem {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if strings.HasPrefix(filepath.Base(file), "edge") {
		_, problems := config.ParseEdge(file, b)
		return problems
	}
	f, problems := config.ParseTopology(file, b)
	return append(problems, f.CheckAlone()...)
}

// TestExampleOfEdgeDevIsTheExample keeps the copy that edge dev embeds, since Go embeds nothing from outside a package.
func TestExampleOfEdgeDevIsTheExample(t *testing.T) {
	f := func(file string) map[string]string {
		t.Helper()
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		parsed, _ := config.ParseTopology(file, b)
		out := map[string]string{}
		for _, r := range parsed.Resources {
			if p, ok := r.(*topology.Pool); ok {
				p.HealthCheck = p.HealthCheck.WithDefaults() // may be left out or written
			}
			out[r.Key().String()] = string(topology.Encode(r))
		}
		return out
	}
	if diff := cmp.Diff(f("../etc/examples/topology.yaml"), f("../cmd/edge/dev/example.yaml")); diff != "" {
		t.Errorf("-example +edge dev:\n%s", diff)
	}
}
