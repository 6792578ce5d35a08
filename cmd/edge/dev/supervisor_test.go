// SPDX-License-Identifier: Apache-2.0

package dev

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"meridian/topology"
)

func begin(t *testing.T, s *Supervisor, name string) *child {
	t.Helper()
	sp, ok := s.spec(name)
	if !ok {
		t.Fatalf("there is no %s", name)
	}
	c, err := s.start(context.Background(), sp)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, name+" is up", func() bool { return hasWritten(c.log, "\n") })
	return c
}

func TestAChildThatDiesIsReportedAndOneThatWasStoppedIsNot(t *testing.T) {
	s, out := supervisor(t)
	a := begin(t, s, "a")
	if err := s.stop(context.Background(), "a", patience); err != nil {
		t.Error(err)
	}
	b := begin(t, s, "b")
	b.cmd.Process.Kill()
	eventually(t, "the death is told", func() bool { return strings.Contains(out.String(), "! worker b (pid ") })
	if got := out.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "died: signal: killed") || !strings.Contains(got, "edge dev start b") || !strings.Contains(got, b.log) {
		t.Errorf("printed:\n%s", got)
	}
	again := begin(t, s, "a") // it was asked to end once; its death now is news
	again.cmd.Process.Kill()
	eventually(t, "the second death is told", func() bool { return strings.Contains(out.String(), "! worker a (pid ") })
	if a.cmd.Process.Pid == again.cmd.Process.Pid {
		t.Error("it is the same process")
	}
}

func TestStoppingWhatDoesNotRunSaysWhatToDo(t *testing.T) {
	s, _ := supervisor(t)
	if err := s.stop(context.Background(), "a", patience); !errors.Is(err, errNotRunning) || !strings.Contains(err.Error(), "edge dev start a") {
		t.Errorf("one that is down: %v", err)
	}
	if err := s.stop(context.Background(), "nobody", patience); err == nil || !strings.Contains(err.Error(), `no process "nobody"; edge dev ps`) {
		t.Errorf("one that is not there: %v", err)
	}
	if err := s.restart(context.Background(), "nobody"); err == nil || !strings.Contains(err.Error(), "edge dev ps") {
		t.Errorf("starting one that is not there: %v", err)
	}
}

// TestAChildIsStartedOnce holds that of many who start one child at once, one does; a second process under the name would
// never be ended.
func TestAChildIsStartedOnce(t *testing.T) {
	s, _ := supervisor(t)
	sp, _ := s.spec("a")
	var all sync.WaitGroup
	errs := make(chan error, 8)
	for range cap(errs) {
		all.Go(func() {
			_, err := s.start(context.Background(), sp)
			errs <- err
		})
	}
	all.Wait()
	close(errs)
	started := 0
	for err := range errs {
		if err == nil {
			started++
		} else if err.Error() != "a is running already" {
			t.Error(err)
		}
	}
	if started != 1 {
		t.Errorf("started %d times", started)
	}
}

func TestNothingIsStartedOnceEverythingEnds(t *testing.T) {
	s, out := supervisor(t)
	begin(t, s, "a")
	s.endAll()
	sp, _ := s.spec("b")
	if _, err := s.start(context.Background(), sp); err == nil || !strings.Contains(err.Error(), "ending") {
		t.Errorf("got %v", err)
	}
	if left := s.running(""); len(left) != 0 {
		t.Errorf("%d are left", len(left))
	}
	if out.String() != "" {
		t.Errorf("printed:\n%s", out)
	}
}

func TestAwaitTellsWhyItGaveUp(t *testing.T) {
	s, _ := supervisor(t)
	a := begin(t, s, "a")
	never := func(context.Context) error { return errors.New("not yet") }
	tries := 0
	if err := s.await(context.Background(), a, func(context.Context) error {
		if tries++; tries < 3 {
			return errors.New("not yet")
		}
		return nil
	}); err != nil || tries != 3 {
		t.Errorf("ready at the third look: %d looks, %v", tries, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.await(ctx, a, never); !errors.Is(err, context.Canceled) || strings.Contains(err.Error(), "after") {
		t.Errorf("a caller who gives up: %v; want no word of a time-out", err)
	}
	t.Setenv(childMode, "die")
	b := begin(t, s, "b")
	if err := s.await(context.Background(), b, never); err == nil || err.Error() != "b ended: exit status 3: last words" {
		t.Errorf("a child that dies: %v", err)
	}
}

// runOn runs a whole supervisor whose programs are this binary.
func runOn(t *testing.T, ctx context.Context, o Options, out io.Writer) error {
	t.Helper()
	p, err := NewPlan(o)
	if err != nil {
		t.Fatal(err)
	}
	s := New(p, Programs{Edge: os.Args[0], Backend: os.Args[0]}, new(topology.Set), out)
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	select {
	case err := <-ended:
		return err
	case <-time.After(2 * patience):
		t.Fatal("Run does not end")
		return nil
	}
}

func TestAStartThatFailsLeavesNothingBehind(t *testing.T) {
	o := options(t)
	ln, err := net.Listen("tcp", addr(o.AdminPort))
	if err != nil {
		t.Fatal(err)
	}
	if err := runOn(t, context.Background(), o, io.Discard); err == nil || !strings.Contains(err.Error(), "--admin-port") {
		t.Errorf("a taken port: %v", err)
	}
	ln.Close()
	o.Regions = "us-east-1" // the first start failed before there was data: other regions are welcome
	t.Setenv(childMode, "die")
	if err := runOn(t, context.Background(), o, io.Discard); err == nil || err.Error() != "etcd ended: exit status 3: last words" {
		t.Errorf("a child that dies: %v", err)
	}
	held, err := lock((&Plan{Options: o}).lockFile())
	if err != nil {
		t.Fatalf("the lock is held still: %v", err)
	}
	defer held.Close()
	if err := runOn(t, context.Background(), o, io.Discard); err == nil || !strings.Contains(err.Error(), "another edge dev runs on") {
		t.Errorf("a second run: %v", err)
	}
}

func TestAnEndWhileThingsComeUpIsQuickAndComplete(t *testing.T) {
	o := options(t)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	out := new(printed)
	log := (&Plan{Options: o}).logFile("etcd")
	stop := make(chan struct{})
	var watch sync.WaitGroup
	watch.Go(func() {
		defer cancel()
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for !hasWritten(log, "listening") { // it never answers as etcd does
			select {
			case <-tick.C:
			case <-stop:
				return
			}
		}
	})
	err := runOn(t, ctx, o, out)
	close(stop)
	watch.Wait()
	if err == nil || err.Error() != "ended before everything was up" {
		t.Errorf("got %v", err)
	}
	if strings.Contains(out.String(), "died") {
		t.Errorf("printed:\n%s", out)
	}
	if pid := pidOf(t, log); syscall.Kill(pid, 0) == nil {
		t.Errorf("pid %d is left behind", pid)
	}
}

func pidOf(t *testing.T, log string) (pid int) {
	t.Helper()
	b, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Sscanf(string(b), "listening as %d", &pid); err != nil {
		t.Fatalf("%q: %v", b, err)
	}
	return pid
}
