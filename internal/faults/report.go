// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// marker is the line of a file after which everything was printed by this command.
const marker = "<!-- make faults -->"

// write prints the table, or puts it into the file that was asked for.
func (p *plan) write(all results) error {
	var b bytes.Buffer
	p.report(&b, all)
	if p.into == "" {
		_, err := os.Stdout.Write(b.Bytes())
		return err
	}
	old, err := os.ReadFile(p.into)
	if err != nil {
		return err
	}
	head, _, found := bytes.Cut(old, []byte("\n"+marker+"\n"))
	if !found {
		return fmt.Errorf("-into %s: it has no line %s", p.into, marker)
	}
	return os.WriteFile(p.into, append(append(head, "\n"+marker+"\n\n"...), b.Bytes()...), 0o644)
}

func (p *plan) report(w io.Writer, all results) {
	fmt.Fprintf(w, "`%s`, %s. %g requests a second, seeds %d to %d", p.command, time.Now().UTC().Format(time.DateOnly), p.rate, p.seed, p.seed+uint64(p.seeds)-1)
	for _, kind := range p.kinds {
		fmt.Fprintf(w, "; %s", p.version(kind))
	}
	fmt.Fprintf(w, ".\n\n| fault | proxy | requests | failed GET | failed POST | executed twice | cut, looks whole | p50 | p99 | p99.9 | max | above 1 s | failing for | detected | last failure after |\n")
	fmt.Fprintf(w, "|%s\n", strings.Repeat(" --- |", 15))
	for i, r := range all {
		fmt.Fprintf(w, "| %s: %s | %s | %s |\n", r.fault.id, r.fault.title, r.kind, strings.Join(r.cells(), " | "))
		if i+1 == len(all) || all[i+1].fault != r.fault {
			p.rest(w, r.fault)
		}
	}
	fmt.Fprintf(w, "\nWhat else was counted:\n\n| fault | proxy | |\n| --- | --- | --- |\n")
	for _, r := range all {
		if r.fault.more != nil {
			fmt.Fprintf(w, "| %s | %s | %s |\n", r.fault.id, r.kind, r.fault.more(r.with))
		}
	}
	fmt.Fprintf(w, "\nThe same sites before the fault:\n\n| fault | proxy | requests | failed | p50 | p99 | p99.9 | max |\n|%s\n", strings.Repeat(" --- |", 8))
	for _, r := range all {
		s := sum(r.control)
		fmt.Fprintf(w, "| %s | %s | %d | %d | %s |\n", r.fault.id, r.kind, s.n, s.repeatable+s.others, strings.Join(s.quantiles(), " | "))
	}
}

// rest prints the rows of those proxies that have no such thing.
func (p *plan) rest(w io.Writer, f *fault) {
	for _, kind := range p.kinds {
		if f.alone && kind != "edge" {
			fmt.Fprintf(w, "| %s: %s | %s |%s\n", f.id, f.title, kind, strings.Repeat(" – |", 13))
		}
	}
}

// version returns what a proxy says of itself.
func (p *plan) version(kind string) string {
	cmd := map[string][]string{"edge": {p.programs.edge, "version"}, "HAProxy": {"haproxy", "-v"}, "nginx": {"nginx", "-v"}}[kind]
	if cmd == nil {
		return kind
	}
	out, err := exec.Command(cmd[0], cmd[1:]...).CombinedOutput()
	if err != nil {
		return kind
	}
	text, _, _ := strings.Cut(string(out), "\n")
	return strings.TrimSpace(text)
}

// total is the sum over seeds.
type total struct {
	n, repeatable, others, inFlight, duplicates, pretended int
	latencies                                              []time.Duration
	window, failover, detected                             time.Duration // the longest
	undetected                                             int
}

func sum(all []*outcome) *total {
	t := &total{detected: -1}
	for _, o := range all {
		t.n += len(o.requests)
		t.repeatable += o.repeatable
		t.others += o.others
		t.inFlight += o.inFlight
		t.duplicates += o.duplicates
		t.pretended += o.pretended
		t.latencies = append(t.latencies, o.latencies()...)
		window, failover := o.window()
		t.window, t.failover = max(t.window, window), max(t.failover, failover)
		for _, d := range o.found {
			t.detected = max(t.detected, d)
			if d < 0 {
				t.undetected++
			}
		}
	}
	slices.Sort(t.latencies)
	return t
}

func (t *total) quantiles() (out []string) {
	for _, q := range []float64{0.5, 0.99, 0.999, 1} {
		out = append(out, fmt.Sprintf("%.1f ms", quantile(t.latencies, q).Seconds()*1e3))
	}
	return out
}

func (r *result) cells() []string {
	t := sum(r.with)
	out := []string{fmt.Sprint(t.n), fmt.Sprint(t.repeatable), fmt.Sprintf("%d of %d", t.others, t.inFlight), fmt.Sprint(t.duplicates), fmt.Sprint(t.pretended)}
	out = append(out, t.quantiles()...)
	detected := "–"
	if t.detected >= 0 {
		detected = t.detected.Round(time.Millisecond).String()
	}
	return append(out, fmt.Sprint(above(t.latencies, time.Second)), t.window.Round(time.Millisecond).String(), detected, t.failover.Round(time.Millisecond).String())
}

// line is for who watches.
func (r *result) line() string { return strings.Join(r.cells(), " | ") }
