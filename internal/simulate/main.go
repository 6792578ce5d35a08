// SPDX-License-Identifier: Apache-2.0

// Command simulate runs the scenarios of balancer/sim for every policy, load and seed and prints the tables of
// docs/balancing.md as Markdown: a summary first, then all figures. It tells nothing by its exit code but whether it ran.
//
//	go run ./internal/simulate -seeds 20 -into docs/balancing.md
//	go run ./internal/simulate -seed 7 -seeds 5 -load 0.8,0.95 -scenario hang -full=false
//
// It is the doer around the simulator: it wires health.Tracker in as the checks, and its goroutines run whole runs, which
// don't share anything. Run waits for them.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"meridian/balancer/sim"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "simulate:", err)
		os.Exit(1)
	}
}

// loads are what the scenarios are measured at, as shares of their capacity.
var loads = []float64{0.5, 0.8, 0.95, 1.1}

func run(args []string) error {
	flags := flag.NewFlagSet("simulate", flag.ContinueOnError)
	seed := flags.Uint64("seed", 1, "the first seed")
	seeds := flags.Int("seeds", 5, "how many seeds, 2 to 1000; a 95 % interval takes at least 20 to mean much")
	load := flags.String("load", "", "loads as shares of capacity, comma-separated, each 0.01 to 2 (default 0.5,0.8,0.95,1.1)")
	scenario := flags.String("scenario", "", "only the scenarios whose names contain this")
	full := flags.Bool("full", true, "print all figures after the summary")
	into := flags.String("into", "", "write into this file, in place of what follows its line "+marker)
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *seeds < 2 || *seeds > 1000 {
		return fmt.Errorf("-seeds %d: want 2 to 1000", *seeds)
	}
	g := grid{loads: loads, policies: sim.Policies(), seed: *seed, seeds: *seeds}
	if *load != "" {
		var err error
		if g.loads, err = parseLoads(*load); err != nil {
			return err
		}
	}
	g.scenarios = slices.DeleteFunc(sim.Scenarios(), func(s *sim.Scenario) bool { return !strings.Contains(s.Name, *scenario) })
	if len(g.scenarios) == 0 {
		return fmt.Errorf("-scenario %q: no scenario is called so", *scenario)
	}
	r := g.run()
	if *into == "" {
		return report(os.Stdout, r, *full)
	}
	return rewrite(*into, func(w io.Writer) error { return report(w, r, *full) })
}

// marker is the line of a file after which everything was printed by this command.
const marker = "<!-- make sim -->"

// rewrite replaces what follows the marker in a file.
func rewrite(file string, write func(io.Writer) error) error {
	old, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	head, _, found := bytes.Cut(old, []byte("\n"+marker+"\n"))
	if !found {
		return fmt.Errorf("-into %s: it has no line %s", file, marker)
	}
	var b bytes.Buffer
	b.Write(head)
	b.WriteString("\n" + marker + "\n\n")
	if err := write(&b); err != nil {
		return err
	}
	return os.WriteFile(file, b.Bytes(), 0o644)
}

func parseLoads(s string) ([]float64, error) {
	var out []float64
	for part := range strings.SplitSeq(s, ",") {
		x, err := strconv.ParseFloat(part, 64)
		if err != nil || x < 0.01 || x > 2 {
			return nil, fmt.Errorf("-load %q: want shares of capacity from 0.01 to 2, comma-separated", s)
		}
		out = append(out, x)
	}
	return out, nil
}
