// SPDX-License-Identifier: Apache-2.0

// Command conformance runs the official MCP conformance suite, pinned, through an edge and directly against a worker, and
// compares the two. scripts/conformance.sh calls it.
//
// A scenario passes if it passes in every run through the edge. One that fails or checks nothing counts as failed, unless
// the expectations list it with its reason and it does the same directly; one that is listed and passes is failed as well,
// so that the list stays true. It starts its own fleet and worker unless it is given their URLs, and ends what it starts.
//
//	go run ./internal/conformance -edge bin/edge -backend bin/backend
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
)

// options are the command line.
type options struct {
	url, directURL string
	edge, backend  string
	runs           int
	expected       string
	cache, results string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var o options
	flag.StringVar(&o.url, "url", "", "`URL` of /mcp at an edge (default: start a fleet of two workers)")
	flag.StringVar(&o.directURL, "direct-url", "", "`URL` of /mcp at one worker (default: start one)")
	flag.StringVar(&o.edge, "edge", "bin/edge", "the edge `PROGRAM`")
	flag.StringVar(&o.backend, "backend", "bin/backend", "the backend `PROGRAM`")
	flag.IntVar(&o.runs, "runs", 3, "how `OFTEN` each suite runs through the edge")
	flag.StringVar(&o.expected, "expected", "scripts/conformance-expected.json", "`FILE` of what can't pass, with the reasons")
	flag.StringVar(&o.cache, "cache", ".cache/conformance", "`DIR` that the suites are installed into")
	flag.StringVar(&o.results, "results", "results/conformance", "`DIR` for every check of every run; it is emptied first")
	flag.Parse()
	err := o.run(ctx, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "conformance:", err)
		os.Exit(1)
	}
}

// errNotPassed ends a run of which the table has told everything.
var errNotPassed = errors.New("not everything passed")

func (o options) run(ctx context.Context, out io.Writer) (err error) {
	want, err := readExpectations(o.expected)
	if err != nil {
		return err
	}
	if o.runs < 1 {
		return fmt.Errorf("-runs: %d; want at least 1", o.runs)
	}
	if o.results, err = filepath.Abs(o.results); err != nil {
		return fmt.Errorf("results: %w", err)
	}
	if err := os.RemoveAll(o.results); err != nil {
		return fmt.Errorf("empty the results: %w", err)
	}
	node, err := install(ctx, o.cache)
	if err != nil {
		return err
	}
	direct, endDirect, err := o.direct(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, endDirect()) }()
	edge, endEdge, err := o.fleet(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, endEdge()) }()
	rows, err := o.compare(ctx, node, direct, edge, want, out)
	if err != nil {
		return err
	}
	if !report(out, rows, o.runs) {
		return errNotPassed
	}
	return nil
}

// compare runs every suite once directly and then as often as wanted through the edge.
func (o options) compare(ctx context.Context, node runner, direct, edge string, want expectations, out io.Writer) ([]row, error) {
	var rows []row
	for _, s := range suites {
		fmt.Fprintf(out, "%s: directly at %s\n", s.name, direct)
		first, err := node.run(ctx, s, direct, filepath.Join(o.results, s.dir(), "direct"))
		if err != nil {
			return nil, err
		}
		var through []results
		for i := range o.runs {
			fmt.Fprintf(out, "%s: through the edge at %s, run %d of %d\n", s.name, edge, i+1, o.runs)
			r, err := node.run(ctx, s, edge, filepath.Join(o.results, s.dir(), fmt.Sprintf("edge-%d", i+1)))
			if err != nil {
				return nil, err
			}
			through = append(through, r)
		}
		rows = append(rows, judge(s, first, through, want)...)
	}
	return rows, nil
}
