// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAScenarioIsJudgedByAllItsRuns(t *testing.T) {
	ok, bad, nothing := outcome{passed: 2}, outcome{passed: 1, failed: 1, bad: []string{"a"}, all: []string{"a FAILURE", "z SUCCESS"}, why: "a: broke"}, outcome{}
	other := outcome{failed: 1, bad: []string{"b"}, all: []string{"b FAILURE"}, why: "b: broke"}
	fewer := outcome{failed: 1, bad: []string{"a"}, all: []string{"a FAILURE"}, why: "a: broke"}
	for _, c := range []struct {
		name   string
		direct results
		edge   []results
		listed bool
		want   verdict
		note   string
	}{
		{"it passes everywhere", results{"x": ok}, []results{{"x": ok}, {"x": ok}}, false, passed, ""},
		{"it passes through the edge only", results{"x": bad}, []results{{"x": ok}, {"x": ok}}, false, passed, ""},
		{"it fails once", results{"x": ok}, []results{{"x": ok}, {"x": bad}}, false, failed, "a: broke"},
		{"it checks nothing", results{"x": nothing}, []results{{"x": nothing}, {"x": nothing}}, false, failed, ""},
		{"it does not run once", results{"x": ok}, []results{{"x": ok}, {}}, false, failed, ""},
		{"it is listed and fails the same directly", results{"x": bad}, []results{{"x": bad}, {"x": bad}}, true, known, "can't"},
		{"it is listed and checks nothing, the same directly", results{"x": nothing}, []results{{"x": nothing}, {"x": nothing}}, true, known, "can't"},
		{"it is listed but passes directly", results{"x": ok}, []results{{"x": bad}, {"x": bad}}, true, failed, "not do the same"},
		{"it is listed but fails otherwise directly", results{"x": other}, []results{{"x": bad}, {"x": bad}}, true, failed, "not do the same"},
		{"it is listed but passes less than directly", results{"x": bad}, []results{{"x": fewer}, {"x": bad}}, true, failed, "not do the same"},
		{"it is listed and fails only sometimes", results{"x": bad}, []results{{"x": bad}, {"x": ok}}, true, failed, "not do the same"},
		{"it is listed and passes", results{"x": ok}, []results{{"x": ok}, {"x": ok}}, true, failed, "take it off"},
		{"it is listed and gone", results{}, []results{{}, {}}, true, failed, "no such scenario"},
	} {
		var want expectations
		if c.listed {
			want = expectations{{"s", "x", "can't"}}
		}
		rows := judge(suite{name: "s", scenarios: 1}, c.direct, c.edge, want)
		if len(rows) != 1 || rows[0].verdict != c.want || !strings.Contains(rows[0].note, c.note) {
			t.Errorf("%s: got %+v, want %s with a note of %q", c.name, rows, c.want, c.note)
		}
	}
}

func TestAMissingScenarioIsNoticed(t *testing.T) {
	ok := results{"x": {passed: 1}}
	rows := judge(suite{name: "s", scenarios: 2}, ok, []results{ok}, nil)
	if last := rows[len(rows)-1]; last.verdict != failed || !strings.Contains(last.note, "1 scenarios ran; want 2") {
		t.Errorf("got %+v", rows)
	}
}

func TestTheReportEndsWithTheCounts(t *testing.T) {
	var b bytes.Buffer
	rows := []row{{"s", "x", pass, []state{pass, pass}, passed, ""}, {"s", "y", fail, []state{fail, pass}, failed, "why"}, {"s", "z", fail, []state{fail, fail}, known, "why"}}
	if report(&b, rows, 2) {
		t.Error("a failure was reported as none")
	}
	if out := b.String(); !strings.HasSuffix(out, "\n1 passed, 1 failed\n") || !strings.Contains(out, "FAIL/pass") || !strings.Contains(out, "1 known") {
		t.Errorf("got %s", out)
	}
	if !report(&b, rows[:1], 2) {
		t.Error("a pass was reported as a failure")
	}
}

func TestChecksAreCountedByStatus(t *testing.T) {
	o, err := parseChecks([]byte(`[{"id":"a","status":"SUCCESS"},{"id":"wire-schema-valid","status":"SUCCESS"},{"id":"c","status":"FAILURE","errorMessage":"x\n y 8080 z"},
		{"id":"c","status":"FAILURE"},{"id":"b","status":"WARNING"},{"id":"i","status":"INFO"},{"id":"k","status":"SKIPPED"}]`))
	if err != nil || o.passed != 1 || o.failed != 2 || o.warned != 1 || o.why != "c: x y 8080 z" || strings.Join(o.bad, ",") != "b (warning),c" ||
		strings.Join(o.all, ",") != "a SUCCESS ,b WARNING ,c FAILURE ,c FAILURE x\n y # z,k SKIPPED ,wire-schema-valid SUCCESS " {
		t.Errorf("got %+v, %v", o, err)
	}
	for _, bad := range []string{``, `{}`, `[{"id":"a","status":"MAYBE"}]`} {
		if _, err := parseChecks([]byte(bad)); err == nil {
			t.Errorf("%s was taken", bad)
		}
	}
}

func FuzzParseChecks(f *testing.F) {
	f.Add([]byte(`[{"id":"a","status":"SUCCESS"}]`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if o, err := parseChecks(b); err == nil && len(o.bad) > o.failed+o.warned {
			t.Errorf("got %+v", o)
		}
	})
}

func TestTheWireCheckAloneIsNothing(t *testing.T) {
	o, err := parseChecks([]byte(`[{"id":"wire-schema-valid","status":"SUCCESS"}]`))
	if err != nil || (results{"x": o}).state("x") != empty {
		t.Errorf("got %+v, %v; want that it checks nothing", o, err)
	}
}

func TestResultsAreReadByScenario(t *testing.T) {
	dir := t.TempDir()
	put := func(name, checks string) {
		t.Helper()
		d := filepath.Join(dir, name)
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(d, "checks.json"), []byte(checks), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	put("server-tools-list-2026-11-23T14-35-15-059Z", `[{"id":"a","status":"SUCCESS"}]`)
	put("server-server-initialize-2026-11-23T14-35-15-060Z", `[{"id":"a","status":"FAILURE"}]`)
	got, err := readResults(dir)
	if err != nil || got.state("tools-list") != pass || got.state("server-initialize") != fail || got.state("ping") != missing {
		t.Errorf("got %+v, %v", got, err)
	}
	put("server-tools-list-2026-11-23T14-35-16-000Z", `[]`)
	if _, err := readResults(dir); err == nil || !strings.Contains(err.Error(), "twice") {
		t.Errorf("a scenario that ran twice: %v", err)
	}
}

func TestTheExpectationsInUseAreWellFormed(t *testing.T) {
	all, err := readExpectations("../../scripts/conformance-expected.json")
	if err != nil || len(all) == 0 {
		t.Errorf("got %d, %v", len(all), err)
	}
}

func TestBadExpectationsAreRefused(t *testing.T) {
	for _, bad := range []string{
		`{`, `[{"suite":"none","scenario":"x","reason":"y"}]`, `[{"suite":"0.1.16","scenario":"x","reason":" "}]`,
		`[{"suite":"0.1.16","scenario":"x","reason":"y"},{"suite":"0.1.16","scenario":"x","reason":"y"}]`,
	} {
		file := filepath.Join(t.TempDir(), "expected.json")
		if err := os.WriteFile(file, []byte(bad), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := readExpectations(file); err == nil {
			t.Errorf("%s was taken", bad)
		}
	}
}

func TestTheWorkersAddressIsNamedLocalhost(t *testing.T) {
	if got := listening("x\nlistening http://127.0.0.1:4711/mcp\n"); got != "http://localhost:4711/mcp" {
		t.Errorf("got %q", got)
	}
}
