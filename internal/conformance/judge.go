// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
)

// expectation is a scenario that can't pass, and why.
type expectation struct {
	Suite    string `json:"suite"` // a suite's name
	Scenario string `json:"scenario"`
	Reason   string `json:"reason"`
}

type expectations []expectation

// readExpectations reads and checks the file.
func readExpectations(file string) (expectations, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var all expectations
	if err := json.Unmarshal(b, &all); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	var errs []error
	for i, e := range all {
		known := slices.ContainsFunc(suites, func(s suite) bool { return s.name == e.Suite })
		twice := slices.ContainsFunc(all[:i], func(o expectation) bool { return o.Suite == e.Suite && o.Scenario == e.Scenario })
		if !known || twice || e.Scenario == "" || strings.TrimSpace(e.Reason) == "" {
			errs = append(errs, fmt.Errorf("%s: entry %d: %q of suite %q: want a known suite, a scenario named once, and a reason", file, i+1, e.Scenario, e.Suite))
		}
	}
	return all, errors.Join(errs...)
}

func (all expectations) reason(s suite, scenario string) (reason string, listed bool) {
	for _, e := range all {
		if e.Suite == s.name && e.Scenario == scenario {
			return e.Reason, true
		}
	}
	return "", false
}

// verdict is what a scenario counts as.
type verdict string

const (
	passed verdict = "passed"
	known  verdict = "known"
	failed verdict = "FAILED"
)

// row is one scenario of one suite.
type row struct {
	suite, scenario string
	direct          state
	edge            []state
	verdict         verdict
	note            string
}

// judge compares the runs of one suite. Scenarios come sorted by name.
func judge(s suite, direct results, edge []results, want expectations) []row {
	names := map[string]bool{}
	for _, r := range append([]results{direct}, edge...) {
		for name := range r {
			names[name] = true
		}
	}
	for _, e := range want {
		if e.Suite == s.name {
			names[e.Scenario] = true // one that is listed and gone must be noticed
		}
	}
	var rows []row
	for _, name := range slices.Sorted(maps.Keys(names)) {
		rows = append(rows, judgeOne(s, name, direct, edge, want))
	}
	if len(names) != s.scenarios {
		rows = append(rows, row{suite: s.name, scenario: "(all)", verdict: failed, note: fmt.Sprintf("%d scenarios ran; want %d", len(names), s.scenarios)})
	}
	return rows
}

func judgeOne(s suite, name string, direct results, edge []results, want expectations) row {
	r := row{suite: s.name, scenario: name, direct: direct.state(name)}
	reason, listed := want.reason(s, name)
	allPass, allSame := true, true
	for _, e := range edge {
		st := e.state(name)
		r.edge = append(r.edge, st)
		allPass = allPass && st == pass
		allSame = allSame && st == r.direct && e[name].same(direct[name])
		if r.note == "" && st == fail {
			r.note = e[name].why
		}
		if r.note == "" && st == pass && e[name].warned > 0 && !e[name].same(direct[name]) {
			r.note = "warned: " + strings.Join(e[name].bad, ", ")
		}
	}
	switch {
	case allPass && listed:
		r.verdict, r.note = failed, "it is listed as one that can't pass, and passes: take it off the list"
	case allPass:
		r.verdict = passed
	case listed && r.direct == missing:
		r.verdict, r.note = failed, "it is listed, but there is no such scenario: take it off the list"
	case listed && allSame:
		r.verdict, r.note = known, reason
	case listed:
		r.verdict, r.note = failed, "it is listed, but does not do the same directly; "+r.note
	default:
		r.verdict = failed
	}
	return r
}

// report prints the table and the counts, and says whether nothing failed.
func report(out io.Writer, rows []row, runs int) bool {
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "\nSUITE\tSCENARIO\tDIRECT\tEDGE\tVERDICT\tNOTE")
	counts := map[verdict]int{}
	for _, r := range rows {
		counts[r.verdict]++
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", r.suite, r.scenario, r.direct, summary(r.edge), r.verdict, clip(r.note))
	}
	t.Flush() // an error of standard output shows in what is printed next
	fmt.Fprintf(out, "\n%d known: listed with the reason, and the same directly\n", counts[known])
	fmt.Fprintf(out, "%d runs through the edge, one directly\n", runs)
	fmt.Fprintf(out, "%d passed, %d failed\n", counts[passed], counts[failed])
	return counts[failed] == 0
}

// summary is one word where all runs came to the same.
func summary(states []state) string {
	if len(slices.Compact(slices.Clone(states))) == 1 {
		return string(states[0])
	}
	var words []string
	for _, s := range states {
		words = append(words, string(s))
	}
	return strings.Join(words, "/")
}

func clip(s string) string {
	const most = 160
	r := []rune(s)
	if len(r) <= most {
		return s
	}
	return string(r[:most]) + "…"
}
