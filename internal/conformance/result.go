// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// outcome is what one run of one scenario came to.
type outcome struct {
	passed, failed, warned int
	// bad names the checks that failed or warned; all has every check with its status and message, numbers left out, since
	// ports and ids differ from run to run. Sorted, each once.
	bad, all []string
	// why is the first failure's message.
	why string
}

// results are the outcomes of one run by scenario.
type results map[string]outcome

// state is one word for an outcome.
type state string

const (
	pass    state = "pass"
	fail    state = "FAIL"
	empty   state = "checks nothing"
	missing state = "did not run"
)

// wireCheck is added by the suite to every scenario with any traffic. It alone is no check of what the scenario is about.
const wireCheck = "wire-schema-valid"

func (r results) state(scenario string) state {
	o, ran := r[scenario]
	switch {
	case !ran:
		return missing
	case o.failed > 0:
		return fail
	case o.passed == 0:
		return empty
	}
	return pass
}

// same reports whether two outcomes have the same checks with the same statuses and messages.
func (o outcome) same(p outcome) bool { return slices.Equal(o.all, p.all) }

// resultDir is how the suite names a scenario's directory: server-NAME-TIME.
var resultDir = regexp.MustCompile(`^server-(.+)-\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d-\d{3}Z$`)

var number = regexp.MustCompile(`[0-9]+`)

// readResults reads what the suite has left in dir: DIR/server-NAME-TIME/checks.json.
func readResults(dir string) (results, error) {
	files, err := filepath.Glob(filepath.Join(dir, "server-*", "checks.json"))
	if err != nil {
		return nil, err
	}
	all := results{}
	for _, f := range files {
		m := resultDir.FindStringSubmatch(filepath.Base(filepath.Dir(f)))
		if m == nil {
			return nil, fmt.Errorf("%s: the directory is not server-NAME-TIME", f)
		}
		b, err := os.ReadFile(f)
		if err != nil {
			return nil, err
		}
		o, err := parseChecks(b)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f, err)
		}
		if _, twice := all[m[1]]; twice {
			return nil, fmt.Errorf("%s: the scenario ran twice", f)
		}
		all[m[1]] = o
	}
	return all, nil
}

// parseChecks reads a checks.json.
func parseChecks(b []byte) (outcome, error) {
	var checks []struct{ ID, Status, ErrorMessage string }
	if err := json.Unmarshal(b, &checks); err != nil {
		return outcome{}, err
	}
	var o outcome
	for _, c := range checks {
		if c.Status != "INFO" {
			o.all = append(o.all, c.ID+" "+c.Status+" "+number.ReplaceAllString(c.ErrorMessage, "#"))
		}
		switch c.Status {
		case "SUCCESS":
			if c.ID != wireCheck {
				o.passed++
			}
		case "FAILURE":
			o.failed++
			o.bad = append(o.bad, c.ID)
			if o.why == "" {
				o.why = c.ID + ": " + strings.Join(strings.Fields(c.ErrorMessage), " ")
			}
		case "WARNING":
			o.warned++
			o.bad = append(o.bad, c.ID+" (warning)")
		case "INFO", "SKIPPED":
		default:
			return outcome{}, fmt.Errorf("check %s has the unknown status %q", c.ID, c.Status)
		}
	}
	o.bad, o.all = sortedOnce(o.bad), sortedOnce(o.all)
	return o, nil
}

func sortedOnce(s []string) []string {
	slices.Sort(s)
	return slices.Compact(s)
}
