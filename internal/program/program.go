// SPDX-License-Identifier: Apache-2.0

// Package program runs the real programs in tests: it builds them, starts them, collects what they print, and ends them
// before their test ends, or with the tests if these are killed.
//
// It knows no program's arguments, files or output. Whoever reads what was printed waits with testnet.Wait.
//
//	dir, err := program.Build(program.Race(), "meridian/cmd/edge") // in TestMain, which removes dir
//	edge := program.Start(t, exec.Command(filepath.Join(dir, "edge"), "serve", "-c", file))
//	testnet.Wait(t, "the edge to serve", func() bool { return strings.Contains(edge.Out.String(), "edge is serving") })
package program

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"sync"
	"syscall"
	"testing"
	"time"
)

// endTime bounds how long a program may take to end after SIGTERM: an edge's own deadline by default is 30 s.
const endTime = 40 * time.Second

// Build compiles main packages into a new directory, which the caller removes, also if there was an error. With the race
// detector a program would by default wait a second before it exits, each command of a test that much: unless GORACE is
// set, Build sets it so that programs that start from here on don't.
func Build(race bool, packages ...string) (dir string, err error) {
	if race && os.Getenv("GORACE") == "" {
		os.Setenv("GORACE", QuickExit)
	}
	if dir, err = os.MkdirTemp("", "meridian-programs-"); err != nil {
		return "", err
	}
	args := append([]string{"build", fmt.Sprintf("-race=%t", race), "-o", dir + string(filepath.Separator)}, packages...)
	if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
		return dir, fmt.Errorf("build %v: %w\n%s", packages, err, out)
	}
	return dir, nil
}

// QuickExit is the race detector's option in GORACE by which a program exits without waiting for further races.
const QuickExit = "atexit_sleep_ms=0"

// Race reports whether this test has the race detector.
func Race() bool {
	info, _ := debug.ReadBuildInfo()
	for _, s := range info.Settings {
		if s.Key == "-race" {
			return s.Value == "true"
		}
	}
	return false
}

// Output collects what a program prints. It is safe for concurrent use.
type Output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write implements io.Writer.
func (o *Output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(b)
}

// String returns what was printed up to now.
func (o *Output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// Process is a program that runs or has run.
type Process struct {
	// Cmd was started. Its ProcessState is to be read after Done.
	Cmd *exec.Cmd
	// Out is what it printed to stdout and stderr.
	Out *Output

	done chan struct{}
	end  sync.Once
}

// Start starts a program, which the test's end ends as End does. If the test fails, it logs what the program printed.
func Start(t testing.TB, cmd *exec.Cmd) *Process {
	t.Helper()
	p := Launch(t, cmd)
	t.Cleanup(func() {
		p.End(t)
		if t.Failed() {
			t.Logf("%s printed:\n%.20000s", filepath.Base(cmd.Path), p.Out)
		}
	})
	return p
}

// Launch starts a program that its caller ends, by its own way, before the test ends.
func Launch(t testing.TB, cmd *exec.Cmd) *Process {
	t.Helper()
	p := &Process{Cmd: cmd, Out: &Output{}, done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = p.Out, p.Out
	dieWithTests(cmd)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		cmd.Wait() // what it says is in ProcessState
		close(p.done)
	}()
	return p
}

// Done is closed when the program has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// End ends the program with SIGTERM, if it has not ended yet, and fails the test if it does not exit with 0 in time. Only
// the first call of End or Kill does something.
func (p *Process) End(t testing.TB) {
	t.Helper()
	p.end.Do(func() {
		p.Cmd.Process.Signal(syscall.SIGTERM) // which may have ended already
		select {
		case <-p.done:
		case <-time.After(endTime):
			t.Errorf("%s does not end within %s of SIGTERM", p.Cmd.Path, endTime)
			p.kill()
			return
		}
		if !p.Cmd.ProcessState.Success() {
			t.Errorf("%s ended with %s; want exit code 0\n%.20000s", p.Cmd.Path, p.Cmd.ProcessState, p.Out)
		}
	})
}

// Kill ends the program with SIGKILL, as the kernel does when memory runs out, and waits for that. It has no notice.
func (p *Process) Kill() { p.end.Do(p.kill) }

func (p *Process) kill() {
	p.Cmd.Process.Kill() // which may have ended already
	<-p.done
}
