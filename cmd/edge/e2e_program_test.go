// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// program is one of the real programs, run on its own.
type program struct {
	cmd  *exec.Cmd
	out  *output
	done chan struct{}
}

func startProgram(t *testing.T, name string, args ...string) *program {
	t.Helper()
	p := &program{cmd: exec.Command(filepath.Join(binDir, name), args...), out: &output{}, done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.out
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(func() {
		p.end(t)
		if t.Failed() {
			t.Logf("%s printed:\n%s", name, p.out)
		}
	})
	return p
}

// end ends the program with SIGTERM, which must make it exit with 0.
func (p *program) end(t *testing.T) {
	t.Helper()
	select {
	case <-p.done:
		return
	default:
	}
	p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(40 * time.Second):
		t.Errorf("%s does not end on SIGTERM", p.cmd.Path)
		p.cmd.Process.Kill()
		<-p.done
	}
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("%s: exit code %d after SIGTERM; want 0\n%s", p.cmd.Path, code, p.out)
	}
}

// startWorker runs a worker without etcd and returns its address.
func startWorker(t *testing.T) string {
	t.Helper()
	p := startProgram(t, "backend", "serve", "--name", "w1", "--pool", "mcp", "--region", "lab", "--grace", "100ms")
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, rest, ok := strings.Cut(p.out.String(), "listening http://"); ok {
			if addr, _, ok := strings.Cut(rest, "/mcp"); ok {
				return addr
			}
		}
		select {
		case <-tick.C:
		case <-p.done:
			t.Fatalf("the worker ended:\n%s", p.out)
		case <-deadline:
			t.Fatalf("the worker does not listen:\n%s", p.out)
		}
	}
}
