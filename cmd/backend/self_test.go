// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"

	"meridian/topology"
)

func TestALoadIsToldOnlyIfItHasChanged(t *testing.T) {
	base := topology.Load{InFlight: 100, Connections: 100, Sessions: 100, CPU: 0.5}
	with := func(change func(*topology.Load)) topology.Load {
		l := base
		change(&l)
		return l
	}
	for _, c := range []struct {
		what string
		now  topology.Load
		want bool
	}{
		{"nothing", base, false},
		{"4 % more in flight", with(func(l *topology.Load) { l.InFlight = 104 }), false},
		{"6 % more in flight", with(func(l *topology.Load) { l.InFlight = 106 }), true},
		{"6 % fewer connections", with(func(l *topology.Load) { l.Connections = 94 }), true},
		{"no session left", with(func(l *topology.Load) { l.Sessions = 0 }), true},
		{"a little processor", with(func(l *topology.Load) { l.CPU = 0.54 }), false},
		{"more processor", with(func(l *topology.Load) { l.CPU = 0.56 }), true},
	} {
		if got := worthTelling(base, c.now); got != c.want {
			t.Errorf("%s: got %v, want %v", c.what, got, c.want)
		}
	}
	if !worthTelling(topology.Load{}, topology.Load{Sessions: 1}) || worthTelling(topology.Load{}, topology.Load{CPU: 0.01}) {
		t.Error("from zero: a count must be told, a breath of processor must not")
	}
}

func TestTheValueSaysWhatTheWorkerIs(t *testing.T) {
	n, err := options{name: "mcp-1", pool: "mcp", region: "eu-central-1", zone: "a", connections: 10, labels: map[string]string{"role": "x"}}.node("127.0.0.1:4711")
	if err != nil {
		t.Fatal(err)
	}
	me := &self{node: n}
	if !me.report(topology.Load{Sessions: 2}) || me.report(topology.Load{Sessions: 2}) {
		t.Error("the first load must be told, the same again must not")
	}
	me.leave()
	r, mistakes := topology.Decode(n.Key(), me.value())
	if len(mistakes) > 0 {
		t.Fatal(mistakes)
	}
	if got := r.(*topology.Node); !got.Leaving || got.Load.Sessions != 2 || got.Address != "127.0.0.1:4711" || got.Capacity.Connections != 10 || got.Labels["role"] != "x" {
		t.Errorf("got %+v", got)
	}
}

func TestMistakesOfTheNodeNameTheirFlags(t *testing.T) {
	_, err := options{name: "No", pool: "mcp", region: "eu", connections: -1, advertise: "nowhere"}.node("127.0.0.1:1")
	for _, want := range []string{"--name", "--capacity-connections", "--advertise"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not name %s", err, want)
		}
	}
	if _, err := (options{name: "a", pool: "mcp", region: "eu"}).node("0.0.0.0:80"); err == nil || !strings.Contains(err.Error(), "--advertise") {
		t.Errorf("an address of no machine: %v", err)
	}
}
