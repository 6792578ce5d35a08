// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"meridian/admin"
)

func TestTheTableOfResources(t *testing.T) {
	items := []admin.RawItem{
		{Name: "n-1", Live: true, Value: json.RawMessage(`{"version":1,"name":"n-1","pool":"mcp","capacity":{"rps":5,"connections":2},"labels":{"b":"2","a":"1"},"load":null}`)},
		{Name: "n-2", Value: json.RawMessage(`{"version":1,"name":"n-2","pool":"web","first_seen":true,"tags":["x","y"]}`)},
	}
	want := `NAME  POOL  CAPACITY             LABELS   LOAD  FIRST SEEN  TAGS  ORIGIN
n-1   mcp   connections=2 rps=5  a=1 b=2  -     -           -     registered
n-2   web   -                    -        -     true        x y   stored
`
	if diff := cmp.Diff(want, table(t, func(p *printer) { printItems(p, items) })); diff != "" {
		t.Error(diff)
	}
	if got := table(t, func(p *printer) { printItems(p, nil) }); got != "none\n" {
		t.Errorf("of nothing: %q", got)
	}
}

// TestNoAnswerBreaksTheTable holds for an edge that is newer, or is none.
func TestNoAnswerBreaksTheTable(t *testing.T) {
	for _, value := range []string{``, `null`, `1`, `"x"`, `[]`, `[1]`, `{`, `{"a"`, `{"a":`, `{"a":}`, `{}`} {
		got := table(t, func(p *printer) { printItems(p, []admin.RawItem{{Name: "n", Value: json.RawMessage(value)}}) })
		if !strings.Contains(got, "NAME") || !strings.Contains(got, "stored") {
			t.Errorf("%q: got %q", value, got)
		}
	}
}

func TestGetAsksTheEdgeThatIsNamed(t *testing.T) {
	s := wired(t, edgeConfig(t))
	running(t, s)
	at := s.admin.Addr().String() // without http://, as people write it
	code, out, errs := runMain("get", "nodes", "-o", "json", "--admin", at)
	var nodes []struct{ Name, Pool string }
	if err := json.Unmarshal([]byte(out), &nodes); code != 0 || err != nil || len(nodes) != 3 || nodes[0].Name != "n-a1" || errs != "" {
		t.Errorf("get nodes -o json: %d %q %q", code, out, errs)
	}
	if code, out, _ := runMain("get", "node", "n-a1", "-o", "yaml", "--admin", at); code != 0 || !strings.Contains(out, "name: n-a1\n") {
		t.Errorf("get node n-a1 -o yaml: %d %q", code, out)
	}
	if code, out, _ := runMain("get", "drains", "node/n-a2", "--admin", "http://"+at+"/"); code != 0 || !strings.Contains(out, "somebody") {
		t.Errorf("get drains node/n-a2: %d %q", code, out)
	}
	if code, _, errs := runMain("get", "node", "n-a1?", "--admin", at); code != 1 || errs != "edge: there is no node \"n-a1?\"\n" {
		t.Errorf("get node n-a1?: %d %q", code, errs)
	}
	for _, args := range [][]string{{"status"}, {"explain", "dns", "mcp.test", "--from", "81.2.69.160"}, {"explain", "http", "POST", "http://mcp.test/mcp"}} {
		for _, form := range []string{"json", "yaml", "table"} {
			code, out, errs := runMain(append(args, "-o", form, "--admin", at)...)
			if code != 0 || out == "" || errs != "" || json.Valid([]byte(out)) != (form == "json") {
				t.Errorf("%v -o %s: %d %q %q", args, form, code, out, errs)
			}
		}
	}
}
