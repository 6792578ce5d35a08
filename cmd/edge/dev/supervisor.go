// SPDX-License-Identifier: Apache-2.0

package dev

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"sync"
	"time"

	"meridian/topology"
)

// Programs are the binaries to run.
type Programs struct{ Edge, Backend string }

// Supervisor runs a plan.
type Supervisor struct {
	// Ready is called once everything is up. Nil: what to try is printed.
	Ready func(*Running)

	// set once, never changed
	plan     *Plan
	programs Programs
	topology *topology.Set // what an empty store gets
	out      io.Writer
	starts   chan startRequest

	printing sync.Mutex // guards out

	mu       sync.Mutex // guards the fields below
	specs    []spec     // in the order of starting
	children map[string]*child
	expected map[string]bool // children that were asked to end
	ending   bool            // nothing is started any more
	waits    sync.WaitGroup  // one for each child's wait and watch
}

type startRequest struct {
	spec  spec
	reply chan startReply
}

type startReply struct {
	child *child
	err   error
}

// How long the parts may take. Ours: generous, because a machine that builds at the same time is slow.
const (
	readyPatience = 60 * time.Second
	endPatience   = 40 * time.Second // above a worker's own shutdown deadline of 30s
	quickPatience = 10 * time.Second // when everything ends, streams need no care
)

// New returns a supervisor for the plan. first is what an empty store gets. Progress goes to out.
func New(plan *Plan, programs Programs, first *topology.Set, out io.Writer) *Supervisor {
	return &Supervisor{
		plan: plan, programs: programs, topology: first, out: out, starts: make(chan startRequest),
		children: map[string]*child{}, expected: map[string]bool{},
	}
}

// Run brings everything up, prints what to try, and keeps it up until ctx ends. Then, or on an error on the way, it
// ends every child and returns when none is left. The error is nil where ctx ended a run that was ready.
func (s *Supervisor) Run(ctx context.Context) (err error) {
	held, err := lock(s.plan.lockFile())
	if err != nil {
		return err
	}
	defer held.Close()
	if err := s.checkSettings(); err != nil {
		return err
	}
	if err := s.plan.CheckPorts(); err != nil {
		return err
	}

	starting, stopStarting := context.WithCancel(context.Background())
	var starter sync.WaitGroup
	starter.Go(func() { s.runStarter(starting) })
	defer func() { // in this order: no more starts, then the children, and last the thread that they hang on
		s.endAll()
		s.waits.Wait()
		stopStarting()
		starter.Wait()
	}()

	running, control, err := s.bringUp(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return errors.New("ended before everything was up")
		}
		return err
	}
	defer running.withdraw()
	if s.Ready != nil {
		s.Ready(running.public())
	} else {
		s.printReady()
	}
	err = control.run(ctx)
	s.say("ending all processes …")
	return err
}

// say prints a line. Safe for concurrent use.
func (s *Supervisor) say(format string, args ...any) {
	s.printing.Lock()
	defer s.printing.Unlock()
	fmt.Fprintf(s.out, format+"\n", args...)
}

// runStarter starts children from one thread that lives as long as the supervisor: Linux kills a child with the thread
// that started it, not with the process.
func (s *Supervisor) runStarter(ctx context.Context) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for {
		select {
		case <-ctx.Done():
			return
		case r := <-s.starts:
			c, err := s.launch(r.spec)
			r.reply <- startReply{c, err}
		}
	}
}

// launch starts a child, unless it runs or everything ends. It holds the lock, so that nothing is started twice, and
// nothing that endAll does not see.
func (s *Supervisor) launch(sp spec) (*child, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.ending:
		return nil, errors.New("edge dev is ending")
	case s.children[sp.name] != nil:
		return nil, fmt.Errorf("%s is running already", sp.name)
	}
	c, err := start(sp)
	if err != nil {
		return nil, err
	}
	s.children[sp.name] = c
	delete(s.expected, sp.name)
	s.waits.Go(func() { s.watch(c) })
	return c, nil
}

// start has a child started by the thread that children hang on.
func (s *Supervisor) start(ctx context.Context, sp spec) (*child, error) {
	reply := make(chan startReply, 1)
	select {
	case s.starts <- startRequest{sp, reply}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	r := <-reply
	return r.child, r.err
}

// watch waits for a child and reports an end that nobody asked for. It is not started again: that is the user's call.
func (s *Supervisor) watch(c *child) {
	c.wait()
	s.mu.Lock()
	asked := s.expected[c.name] || s.ending
	if s.children[c.name] == c {
		delete(s.children, c.name)
	}
	s.mu.Unlock()
	if !asked {
		s.say("! %s %s (pid %d) died: %s. Its output is in %s. Bring it back with: edge dev start %s",
			c.kind, c.name, c.cmd.Process.Pid, c.state, c.log, c.name)
	}
}

// stop ends one child by name. Where ctx ends first, the child has been asked to end.
func (s *Supervisor) stop(ctx context.Context, name string, patience time.Duration) error {
	s.mu.Lock()
	c := s.children[name]
	if c != nil {
		s.expected[name] = true
	}
	s.mu.Unlock()
	if c == nil {
		return s.notRunning(name)
	}
	killed, err := c.end(ctx, patience)
	switch {
	case err != nil:
		return fmt.Errorf("%s has not ended yet: %w", name, err)
	case killed:
		return fmt.Errorf("%s did not end within %s and was killed", name, patience)
	}
	return nil
}

var errNotRunning = errors.New("is not running")

func (s *Supervisor) notRunning(name string) error {
	if _, ok := s.spec(name); !ok {
		return fmt.Errorf("there is no process %q; edge dev ps lists them", name)
	}
	return fmt.Errorf("%s %w; start it with: edge dev start %s", name, errNotRunning, name)
}

// spec returns how a child is started.
func (s *Supervisor) spec(name string) (spec, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.specs, func(sp spec) bool { return sp.name == name })
	if i < 0 {
		return spec{}, false
	}
	return s.specs[i], true
}

// endAll ends workers, then edges, then etcd, each kind at once. From now on nothing is started.
func (s *Supervisor) endAll() {
	s.mu.Lock()
	s.ending = true
	s.mu.Unlock()
	for _, kind := range []string{"worker", "edge", "etcd"} {
		var ending sync.WaitGroup
		for _, c := range s.running(kind) {
			ending.Go(func() { s.stop(context.Background(), c.name, quickPatience) })
		}
		ending.Wait()
	}
}

// running returns the children of a kind that are up; all for "".
func (s *Supervisor) running(kind string) []*child {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []*child
	for _, sp := range s.specs {
		if c := s.children[sp.name]; c != nil && (kind == "" || c.kind == kind) {
			out = append(out, c)
		}
	}
	return out
}

// await calls ok until it returns nil. It gives up when the child dies, with its last words, when ctx ends, or at the
// patience's end.
func (s *Supervisor) await(ctx context.Context, c *child, ok func(context.Context) error) error {
	bounded, cancel := context.WithTimeout(ctx, readyPatience)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ok(bounded)
		if err == nil {
			return nil
		}
		select {
		case <-c.done:
			return fmt.Errorf("%s ended: %s: %s", c.name, c.state, c.lastWords())
		case <-bounded.Done():
			if ctx.Err() != nil {
				return fmt.Errorf("ended before %s was ready: %w", c.name, ctx.Err())
			}
			return fmt.Errorf("%s is not ready after %s: %w; see %s", c.name, readyPatience, err, c.log)
		case <-tick.C:
		}
	}
}
