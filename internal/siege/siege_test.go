// SPDX-License-Identifier: Apache-2.0

//go:build linux

// Package siege holds the real edge program against attackers: they are many and patient, or few and loud, while honest
// clients go on asking at a steady rate. Measured from outside: the program's memory, what the attackers got, and how the
// honest ones fared.
//
// It asserts bounds of memory, that every attacker's connection is closed, and that no honest request fails. With SIEGE=full in the environment it
// attacks at the sizes of the requirements and asserts latencies, too: that wants a quiet machine, and is `make siege`.
// The edge is built without the race detector, so that its memory is what it is in service.
package siege

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"meridian/internal/loadgen"
	"meridian/internal/program"
)

// full is whether to attack at full size and hold latencies to their bound: that takes some 20 minutes and a quiet machine.
var full = os.Getenv("SIEGE") == "full"

// programs is where the edge is, built once.
var programs string

func TestMain(m *testing.M) {
	dir, err := program.Build(false, "meridian/cmd/edge")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.RemoveAll(dir)
		os.Exit(1)
	}
	programs = dir
	os.Setenv("QUIC_GO_DISABLE_RECEIVE_BUFFER_WARNING", "true")
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		os.RemoveAll(dir)
		os.Exit(code)
	}))
}

// size returns small, or large with SIEGE=full.
func size[T any](small, large T) T {
	if full {
		return large
	}
	return small
}

// alone lets small attacks run beside each other, and one of full size by itself.
func alone(t *testing.T) {
	if !full {
		t.Parallel()
	}
}

// attack is one kind of attackers.
type attack struct {
	name string
	// attackers are how many there are at one time.
	attackers int
	// prepare connects attacker number n.
	prepare func(e *edge, n int) (attacker, error)
	// memory bounds how much the edge may grow: in all, or if it is small for each attacker. Bytes.
	memory int64
	each   bool
	// latency says that the others' p99 must not more than double: neither that of before, nor that of a bystander's clients.
	latency bool
}

// attacker attacks until the edge has put an end to it, and says what is wrong if it did so in another way than it should.
type attacker func(ctx context.Context) error

// patience bounds an attack: whoever is still connected then was not closed.
var patience = size(12*time.Second, 75*time.Second)

// openingRate is how many attackers connect in a second.
const openingRate = 1000

// run attacks e.
func (a *attack) run(t *testing.T, e *edge) {
	t.Helper()
	besides := a.bystander(t)
	quiet := e.canary(t, size(500*time.Millisecond, 10*time.Second))
	before := memory{e.rss(), kernelTCP()}
	memoryOf := e.watch()
	during, aside := e.canaryUntil(t), besides()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	began := time.Now()

	failed := newFailures()
	var connecting, attacking sync.WaitGroup
	tick := time.NewTicker(time.Second / openingRate)
	defer tick.Stop()
	for n := range a.attackers {
		connecting.Add(1)
		attacking.Go(func() {
			f, err := a.prepare(e, n)
			connecting.Done()
			if err != nil {
				failed.add(fmt.Errorf("connect: %w", err))
				return
			}
			failed.add(f(ctx))
		})
		<-tick.C
	}
	connecting.Wait()
	opened := time.Since(began)
	attacking.Wait()
	peak := memoryOf()
	took := time.Since(began)
	served, unharmed := during(), aside()

	grown := peak.program - before.program
	t.Logf("%s: %d attackers (connected in %s, all gone after %s): %d KiB more memory, %d bytes each, %d MiB of the kernel's at most; other clients %s; p99 %s before, %s during: ratio %.2f; a bystander's p99 %s",
		a.name, a.attackers, opened.Round(10*time.Millisecond), took.Round(10*time.Millisecond), grown>>10, grown/int64(a.attackers), (peak.kernel-before.kernel)>>20,
		served, quiet.Quantile(0.99).Round(10*time.Microsecond), served.Quantile(0.99).Round(10*time.Microsecond), ratio(served, quiet),
		unharmed.Quantile(0.99).Round(10*time.Microsecond))
	if failed.n > 0 {
		t.Errorf("%d of %d attackers did not end as they should: %v", failed.n, a.attackers, failed)
	}
	bound := a.memory
	if a.each {
		bound = bound*int64(a.attackers) + spare
	}
	if grown > bound {
		t.Errorf("%d KiB more memory; at most %d KiB", grown>>10, bound>>10)
	}
	if quiet.Failed+served.Failed > 0 {
		t.Errorf("honest requests failed: before %s; during %s", quiet, served)
	}
	if r := min(ratio(served, quiet), ratio(served, unharmed)); full && a.latency && r > 2 {
		t.Errorf("the others' p99 grew to %.2f times", r)
	}
	e.calm(t)
}

// bystander starts another edge, if latencies matter, that nobody attacks. What it returns begins to ask it as many honest requests
// as the one that is attacked gets, and then until called: how they fare is what sharing the machine with attackers costs by itself.
func (a *attack) bystander(t *testing.T) func() func() *loadgen.Result {
	if !full || !a.latency {
		return func() func() *loadgen.Result { return func() *loadgen.Result { return &loadgen.Result{} } }
	}
	e := start(t, settings{})
	return func() func() *loadgen.Result { return e.canaryUntil(t) }
}

// spare is what a small attack may cost besides: the heap grows in steps, and the canary's own connections are in it.
const spare = 6 << 20

// failures collects what went wrong, the first few of it.
type failures struct {
	mu    sync.Mutex // guards the fields below
	n     int
	kinds map[string]int
}

func newFailures() *failures { return &failures{kinds: map[string]int{}} }

func (f *failures) add(err error) {
	if err == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.n++
	if text := err.Error(); len(f.kinds) < 10 || f.kinds[text] > 0 {
		f.kinds[text]++
	}
}

// String implements fmt.Stringer.
func (f *failures) String() (s string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for k, n := range f.kinds {
		s += fmt.Sprintf("\n  %d × %s", n, k)
	}
	return s
}
