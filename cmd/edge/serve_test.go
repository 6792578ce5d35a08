// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"meridian/config"
	"meridian/topology"
)

// loaded reads the configuration of a command line.
func loaded(t *testing.T, stdin string, f serveFlags) (*config.Edge, string, error) {
	t.Helper()
	c := serveCommand()
	var errs bytes.Buffer
	c.SetErr(&errs)
	c.SetIn(strings.NewReader(stdin))
	cfg, err := f.load(c)
	return cfg, errs.String(), err
}

func TestFlagsLieOverTheConfiguration(t *testing.T) {
	text := "name: from-file\nregion: a\nhttp: {listen: [\"127.0.0.1:1\"]}\netcd: {endpoints: [\"http://127.0.0.1:2379\"]}\n"
	cfg, _, err := loaded(t, text, serveFlags{config: "-"})
	if err != nil || cfg.Name != "from-file" || len(cfg.Etcd.Endpoints) != 1 {
		t.Fatalf("without flags: %+v, %v", cfg, err)
	}
	topo := fileOf(t, oneTopology)
	cfg, errs, err := loaded(t, text, serveFlags{config: "-", name: "from-flag", region: "b", http: []string{"127.0.0.1:3"}, dns: []string{"127.0.0.1:4"}, topology: topo})
	if err != nil {
		t.Fatal(err, errs)
	}
	if cfg.Name != "from-flag" || cfg.Region != "b" || fmt.Sprint(cfg.HTTP.Listen, cfg.DNS.Listen) != "[127.0.0.1:3] [127.0.0.1:4]" || cfg.TopologyFile != topo || len(cfg.Etcd.Endpoints) != 0 {
		t.Errorf("got %+v", cfg)
	}
}

func TestATopologyFileOfOneRegionSaysWhereTheEdgeIs(t *testing.T) {
	one := fileOf(t, "regions: [{name: lab, latitude: 1, longitude: 2}]\n")
	f := serveFlags{topology: one, name: "edge-1", http: []string{"127.0.0.1:0"}}
	if cfg, errs, err := loaded(t, "", f); err != nil || cfg.Region != topology.RegionID("lab") {
		t.Errorf("got %+v, %v %s", cfg, err, errs)
	}
	for _, file := range []string{fileOf(t, oneTopology), "/nowhere", fileOf(t, "nonsense")} {
		f.topology = file
		want := "--region: "
		if file == "/nowhere" {
			want = "/nowhere: no such file"
		}
		if _, _, err := loaded(t, "", f); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v; want %q in it", file, err, want)
		}
	}
}

func TestEveryMistakeIsPrintedAndNothingStarts(t *testing.T) {
	_, errs, err := loaded(t, "name: X\nnonsense: 1\n", serveFlags{config: "-"})
	if !errors.Is(err, errSilent) || !strings.Contains(errs, "-:2") || !strings.Contains(errs, "nonsense") || !strings.HasSuffix(errs, "the edge was not started\n") {
		t.Errorf("got %v, %s", err, errs)
	}
	if _, _, err := loaded(t, "", serveFlags{}); !errors.As(err, &misuse{}) {
		t.Errorf("without any: %v; want a misuse", err)
	}
	if _, _, err := loaded(t, strings.Repeat("#", maxConfigBytes+1), serveFlags{config: "-"}); err == nil || !strings.Contains(err.Error(), "more than 1 MiB") {
		t.Errorf("a file without end: %v", err)
	}
}

func TestAnEndThatWasAskedForIsNoError(t *testing.T) {
	broken := errors.New("broken")
	for _, c := range []struct{ err, cause, want error }{
		{context.Canceled, context.Canceled, nil},
		{fmt.Errorf("admin: %w", context.Canceled), context.Canceled, nil},
		{broken, context.Canceled, broken},
		{context.Canceled, nil, context.Canceled},
		{broken, nil, broken},
	} {
		if got := ended(c.err, c.cause); got != c.want {
			t.Errorf("%v because of %v: got %v; want %v", c.err, c.cause, got, c.want)
		}
	}
}
