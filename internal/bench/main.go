// SPDX-License-Identifier: Apache-2.0

// Command bench measures the edge beside nginx and HAProxy: the same load, before the same nodes, in alternating rounds,
// and prints a Markdown table. `make bench-http` runs it; docs/benchmarks.md says what came out.
//
// It drives HTTP/1.1 by wrk, which is a closed loop at full speed: its latencies are those of saturation. CPU is utime and
// stime of a proxy's whole process tree, read from /proc before and after a round, so it holds on a machine that others
// use, too. It fails where something can't be started or measured, never because something is slow.
//
// It owns every process that it starts, and ends them before it returns.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// options are the flags.
type options struct {
	edge     string
	baseline string
	rounds   int
	duration time.Duration
	limit    time.Duration
	only     string
	idle     int
}

func main() {
	var o options
	flag.StringVar(&o.edge, "edge", "bin/edge", "the `PROGRAM` under test")
	flag.StringVar(&o.baseline, "baseline", "", "a second edge `PROGRAM` to compare with; empty: none")
	flag.IntVar(&o.rounds, "rounds", 5, "rounds of each row")
	flag.DurationVar(&o.duration, "duration", 2500*time.Millisecond, "load of one proxy in one round")
	flag.DurationVar(&o.limit, "limit", 12*time.Minute, "end after that long, whatever happens")
	flag.StringVar(&o.only, "only", "", "rows whose name contains `TEXT`; empty: all")
	flag.IntVar(&o.idle, "idle", 15000, "idle connections; 0: no such row")
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
	dir, err := os.MkdirTemp("", "meridian-bench-")
	if err != nil {
		return fmt.Errorf("make a directory for the peers' files: %w", err)
	}
	defer os.RemoveAll(dir)
	l := &lab{dir: dir}
	defer l.stop()
	if err := l.start(o); err != nil {
		return err
	}
	fmt.Printf("%s, %d CPUs, %s; %d rounds of %s\n", time.Now().UTC().Format("2006-01-02 15:04 UTC"), runtime.NumCPU(), kernel(), o.rounds, o.duration)
	for _, p := range l.peers {
		fmt.Printf("* %s: %s\n", p.name, p.version)
	}
	if o.idle > 0 && strings.Contains("idle", o.only) { // first: memory that load left free would hide what they cost
		if err := l.idle(ctx, os.Stdout, o.idle); err != nil {
			return err
		}
	}
	for _, s := range scenarios {
		if !strings.Contains(s.name, o.only) || l.peers[0].urls[s.scheme] == "" {
			continue
		}
		rows, err := l.measure(ctx, s, o)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		printRows(os.Stdout, s.name, rows)
	}
	return nil
}

func kernel() string {
	b, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return runtime.GOOS
	}
	return "Linux " + strings.TrimSpace(string(b))
}
