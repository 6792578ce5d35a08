// SPDX-License-Identifier: Apache-2.0

// Command bench measures the edge beside nginx, HAProxy and, for HTTP/3, Caddy: the same load, before the same nodes, in
// alternating rounds, and prints Markdown tables. `make bench-http` runs it; docs/benchmarks.md says what came out. With
// -pgo it drives the edge alone and writes a profile for the compiler.
//
// At full speed HTTP/1.1 is driven by wrk, HTTP/2 by h2load and the rest by internal/loadgen, as closed loops: they say how
// much CPU a request takes. Latencies are internal/loadgen's alone, an open loop at half of the slowest proxy's full speed.
// CPU is utime and stime of a proxy's whole process tree, read from /proc before and after a round, so it holds on a
// machine that others use, too. It fails where something can't be started or measured, never because something is slow.
//
// It owns every process that it starts, and ends them before it returns.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// options are the flags.
type options struct {
	edge     string
	baseline string
	caddy    string
	rounds   int
	duration time.Duration
	limit    time.Duration
	only     string
	idle     int
	pgo      string
}

func main() {
	var o options
	flag.StringVar(&o.edge, "edge", "bin/edge", "the `PROGRAM` under test")
	flag.StringVar(&o.baseline, "baseline", "", "a second edge `PROGRAM` to compare with; empty: none")
	flag.StringVar(&o.caddy, "caddy", "", "Caddy's `PROGRAM`, for HTTP/3; empty: none")
	flag.IntVar(&o.rounds, "rounds", 5, "rounds of each row, at full speed and at a rate")
	flag.DurationVar(&o.duration, "duration", 1500*time.Millisecond, "load of one proxy in one round")
	flag.DurationVar(&o.limit, "limit", 40*time.Minute, "end after that long, whatever happens")
	flag.StringVar(&o.only, "only", "", "tables whose name contains `TEXT`; empty: all")
	flag.IntVar(&o.idle, "idle", 15000, "idle connections at most; 0: no such tables")
	flag.StringVar(&o.pgo, "pgo", "", "measure nothing, but write a profile of the edge under every load into `FILE`")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, o.limit)
	defer cancel()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	if o.pgo != "" {
		return with(ctx, o, true, func(l *lab) error { return l.profile(ctx, o.pgo, o.duration) })
	}
	began := time.Now()
	fmt.Printf("%s, %d CPUs, %s; %d rounds of %s\n", began.UTC().Format("2006-01-02 15:04 UTC"), runtime.NumCPU(), kernel(), o.rounds, o.duration)
	if err := idleTables(ctx, o); err != nil {
		return err
	}
	if err := loadTables(ctx, o); err != nil {
		return err
	}
	fmt.Printf("\nTook %s; load average %s.\n", time.Since(began).Round(time.Second), firstOf("/proc/loadavg"))
	return nil
}

// idleTables prints the tables of idle connections, each of a lab of its own.
func idleTables(ctx context.Context, o options) error {
	for _, k := range idleKinds {
		if o.idle == 0 || !strings.Contains(k.name, o.only) {
			continue
		}
		if err := with(ctx, o, false, func(l *lab) error { return l.idle(ctx, os.Stdout, k, o.idle) }); err != nil {
			return err
		}
	}
	return nil
}

// loadTables prints a table for each scenario, and the ratios of all of them once more.
func loadTables(ctx context.Context, o options) error {
	chosen := slices.DeleteFunc(slices.Clone(scenarios), func(s scenario) bool { return !strings.Contains(s.name, o.only) })
	if len(chosen) == 0 {
		return nil
	}
	return with(ctx, o, false, func(l *lab) error {
		for _, p := range l.peers {
			fmt.Printf("* %s: %s\n", p.name, p.version)
		}
		var all summary
		var failed error
		for _, s := range chosen {
			rows, err := l.measure(ctx, s, o)
			if err != nil { // what was measured before, and can be after it, is worth minutes
				fmt.Printf("\n### %v\n", err)
				failed = errors.Join(failed, err)
				continue
			}
			printRows(os.Stdout, s.name, rows)
			all.add(s.name, rows)
		}
		all.print(os.Stdout)
		return failed
	})
}

func kernel() string { return "Linux " + firstOf("/proc/sys/kernel/osrelease") }

// firstOf returns the first word of a file of the kernel's.
func firstOf(file string) string {
	b, _ := os.ReadFile(file) // on another system there is none
	word, _, _ := strings.Cut(strings.TrimSpace(string(b)), " ")
	return word
}
