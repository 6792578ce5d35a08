// SPDX-License-Identifier: Apache-2.0

package dev

import (
	"context"
	"strings"
	"testing"

	"meridian/internal/testnet"
	"time"
)

// controlled runs the control of a supervisor and returns how other commands reach it, and how it is ended.
func controlled(t *testing.T) (*Supervisor, *Running, func()) {
	t.Helper()
	s, _ := supervisor(t)
	c, err := newControl(s)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- c.run(ctx) }()
	end := func() {
		cancel()
		select {
		case err := <-ended:
			ended <- nil
			if err != nil {
				t.Errorf("run: %v", err)
			}
		case <-time.After(patience):
			t.Error("run does not end")
		}
	}
	t.Cleanup(end)
	return s, &Running{PID: 1, Control: c.ln.Addr().String(), Token: c.token}, end
}

func TestProcessesAreListedStoppedAndStarted(t *testing.T) {
	s, r, _ := controlled(t)
	ctx := context.Background()
	begin(t, s, "a")
	ps, err := r.Processes(ctx)
	if err != nil || len(ps) != 2 || ps[0].Name != "a" || ps[0].PID == 0 || ps[0].Started.IsZero() || ps[1].PID != 0 {
		t.Fatalf("got %+v, %v", ps, err)
	}
	if err := r.Stop(ctx, "a"); err != nil {
		t.Error(err)
	}
	testnet.Wait(t, "the process to be listed as stopped", func() bool {
		ps, err := r.Processes(ctx)
		return err == nil && ps[0].PID == 0
	})
	if err := r.Start(ctx, "a"); err != nil { // its region's edge is not running: it counts as up once it runs
		t.Error(err)
	}
	if ps, err := r.Processes(ctx); err != nil || ps[0].PID == 0 {
		t.Errorf("after the start: %+v, %v", ps, err)
	}
	for name, want := range map[string]string{"a": "is running already", "nobody": "edge dev ps lists them", "..": "edge dev ps lists the names", "": "edge dev ps", "a/b": "edge dev ps", "%zz": "edge dev ps"} {
		if err := r.Start(ctx, name); err == nil || !strings.Contains(err.Error(), want) || strings.ContainsAny(err.Error(), "<\n") {
			t.Errorf("start %q: got %v; want %q in it", name, err, want)
		}
	}
}

func TestNobodyIsServedWithoutTheToken(t *testing.T) {
	s, r, _ := controlled(t)
	begin(t, s, "a")
	for _, token := range []string{"", "wrong", r.Token + "x", r.Token[:len(r.Token)-1]} {
		other := *r
		other.Token = token
		if err := other.Stop(context.Background(), "a"); err == nil || err.Error() != "the token is wrong" {
			t.Errorf("token %q: got %v", token, err)
		}
	}
	if len(s.running("")) != 1 {
		t.Error("the process was stopped")
	}
}

func TestAStopUnderWayEndsWithEverything(t *testing.T) {
	s, r, end := controlled(t)
	t.Setenv(childMode, "stubborn")
	a := begin(t, s, "a")
	answered := make(chan error, 1)
	go func() { answered <- r.Stop(context.Background(), "a") }()
	eventually(t, "the stop is under way", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.expected["a"]
	})
	began := time.Now()
	end()
	if took := time.Since(began); took > endPatience/2 {
		t.Errorf("it took %s", took)
	}
	if err := <-answered; err == nil || !strings.Contains(err.Error(), "has not ended yet") {
		t.Errorf("the one who stopped it was told %v", err)
	}
	a.cmd.Process.Kill()
}

func TestARunThatIsGoneDoesNotAnswer(t *testing.T) {
	_, r, end := controlled(t)
	end()
	if _, err := r.Processes(context.Background()); err == nil || !strings.Contains(err.Error(), "the running edge dev (pid 1) does not answer") {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := r.Processes(ctx); err == nil || !strings.HasPrefix(err.Error(), "ended before") {
		t.Errorf("a caller who gives up: %v", err)
	}
}
