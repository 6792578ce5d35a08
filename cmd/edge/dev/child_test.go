// SPDX-License-Identifier: Apache-2.0

package dev

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// startChild starts this binary as a child and waits until it listens or is gone.
func startChild(t *testing.T, mode string) *child {
	t.Helper()
	t.Setenv(childMode, mode)
	c, err := start(spec{name: "a", kind: "worker", path: os.Args[0], log: filepath.Join(t.TempDir(), "logs", "a.log")})
	if err != nil {
		t.Fatal(err)
	}
	go c.wait()
	t.Cleanup(func() {
		c.cmd.Process.Kill()
		<-c.done
	})
	eventually(t, "the child is up", func() bool { return hasWritten(c.log, "\n") })
	return c
}

func hasWritten(log, what string) bool {
	b, err := os.ReadFile(log)
	return err == nil && strings.Contains(string(b), what)
}

func TestAChildEndsWhenAsked(t *testing.T) {
	c := startChild(t, "obey")
	if killed, err := c.end(context.Background(), patience); killed || err != nil {
		t.Errorf("killed: %v, %v", killed, err)
	}
	if !c.state.Success() {
		t.Errorf("it ended with %s", c.state)
	}
}

func TestAChildThatDoesNotEndIsKilled(t *testing.T) {
	c := startChild(t, "stubborn")
	if killed, err := c.end(context.Background(), time.Millisecond); !killed || err != nil {
		t.Errorf("killed: %v, %v; want true", killed, err)
	}
}

func TestWaitingForAnEndEndsWithItsContext(t *testing.T) {
	c := startChild(t, "stubborn")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if killed, err := c.end(ctx, time.Hour); killed || !errors.Is(err, context.Canceled) {
		t.Errorf("killed: %v, %v", killed, err)
	}
}

func TestAChildEndsWithThePipeToItsParent(t *testing.T) {
	c := startChild(t, "stubborn")
	c.pipe.Close()
	select {
	case <-c.done:
	case <-time.After(patience):
		t.Error("it lives on without its parent")
	}
}

func TestTheLastWordsOfAChildAreItsLastLine(t *testing.T) {
	c := startChild(t, "die")
	<-c.done
	if got := c.lastWords(); got != "last words" {
		t.Errorf("got %q", got)
	}
	if err := os.WriteFile(c.log, []byte(strings.Repeat("x", 10000)+"\nthe end\n\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := c.lastWords(); got != "the end" {
		t.Errorf("of a long log: got %q", got)
	}
	c.log += "x"
	if got := c.lastWords(); got != "" {
		t.Errorf("of no log: got %q", got)
	}
}

func TestAProgramThatCannotStartIsNamed(t *testing.T) {
	dir := t.TempDir()
	if _, err := start(spec{name: "a", path: filepath.Join(dir, "none"), log: filepath.Join(dir, "a.log")}); err == nil || !strings.HasPrefix(err.Error(), "start a: ") {
		t.Errorf("got %v", err)
	}
	if _, err := start(spec{name: "a", path: os.Args[0], log: filepath.Join(os.Args[0], "a.log")}); err == nil || !strings.Contains(err.Error(), os.Args[0]) {
		t.Errorf("a log that cannot be: got %v", err)
	}
}
