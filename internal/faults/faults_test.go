// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"meridian/internal/program"
)

// built are the programs, without the race detector: they are measured as they are in service. The harness has it.
var built programs

func TestMain(m *testing.M) {
	dir, err := program.Build(false, "meridian/internal/faults", "meridian/cmd/edge")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.RemoveAll(dir)
		os.Exit(1)
	}
	built = programs{self: filepath.Join(dir, "faults"), edge: filepath.Join(dir, "edge")}
	code := m.Run()
	os.RemoveAll(dir)
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// What each fault has here: 50,000 requests over all of them.
const (
	testRate     = 500.0
	testRequests = 3600
)

// patient are times that pass on a machine with much else to do only where nothing comes at all.
var patient = times{Client: 20 * time.Second, Answer: 15 * time.Second, Connect: 5 * time.Second}

// atOnce is how many faults are tried beside each other: they mostly wait.
const atOnce = 3

// TestTheEdgeHoldsThroughEveryFault injects each fault, with another seed each time, and holds the counts to what must be. No time is
// asserted.
func TestTheEdgeHoldsThroughEveryFault(t *testing.T) {
	var running sync.WaitGroup
	t.Cleanup(running.Wait)
	free := make(chan struct{}, atOnce)
	for _, f := range slices.Backward(faults) { // the longest stands last
		var control, with *outcome
		var err error
		done := make(chan struct{})
		running.Go(func() {
			defer close(done)
			free <- struct{}{}
			defer func() { <-free }()
			if f.apart && canCell() != nil {
				return
			}
			at := trial{fault: f, kind: "edge", seed: uint64(os.Getpid()), rate: testRate, requests: testRequests, programs: built, times: patient}
			control, with, err = at.run(t.Context())
		})
		t.Run(f.id, func(t *testing.T) {
			if f.apart {
				needCell(t)
			}
			t.Parallel()
			<-done
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("without: %s\n%s", control, with)
			if n := len(with.requests); n < 3000 {
				t.Errorf("only %d requests", n)
			}
			for _, w := range (&result{f, "edge", []*outcome{control}, []*outcome{with}}).wrong() {
				t.Error(w)
			}
		})
	}
}

// canCell says why no network namespace can be made, or nil.
var canCell = sync.OnceValue(func() error {
	c, err := openCell(&backend{})
	if err != nil {
		return err
	}
	return c.close()
})

// needCell skips, or in CI fails, where no network namespace can be made.
func needCell(t *testing.T) {
	err := canCell()
	switch {
	case err == nil:
	case os.Getenv("CI") != "" && os.Geteuid() == 0:
		t.Fatalf("this machine cannot make network namespaces: %v", err)
	default:
		t.Skipf("this machine cannot make network namespaces, which takes root and ip: %v", err)
	}
}
