// SPDX-License-Identifier: Apache-2.0

package dev

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"meridian/internal/program"
	"meridian/topology"
)

// childMode is the environment variable that says how this test binary behaves where it is started as a child:
//   - obey (the default): ends on SIGTERM and with its parent
//   - stubborn: takes no notice of SIGTERM
//   - die: writes two lines and exits with 3
const childMode = "MERIDIAN_TEST_CHILD"

func TestMain(m *testing.M) {
	if os.Args[len(os.Args)-1] == ExitWithParent {
		os.Exit(behave(os.Getenv(childMode)))
	}
	if os.Getenv("GORACE") == "" {
		os.Setenv("GORACE", program.QuickExit) // for the children
	}
	goleak.VerifyTestMain(m)
}

func behave(mode string) int {
	if mode == "die" {
		fmt.Println("first words")
		fmt.Fprintln(os.Stderr, "last words")
		return 3
	}
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM)
	gone := make(chan struct{})
	go func() {
		os.NewFile(3, "parent").Read(make([]byte, 1))
		close(gone)
	}()
	fmt.Println("listening as", os.Getpid())
	for {
		select {
		case <-gone:
			return 0
		case <-term:
			if mode != "stubborn" {
				return 0
			}
		}
	}
}

const patience = 20 * time.Second

// printed is what a supervisor has printed. Safe for concurrent use.
type printed struct {
	mu sync.Mutex
	b  strings.Builder
}

func (p *printed) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.b.Write(b)
}

func (p *printed) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.b.String()
}

// eventually waits until ok.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s: not within %s", what, patience)
		}
	}
}

// options returns those of a small fleet in a directory and on ports of its own.
func options(t *testing.T) Options {
	t.Helper()
	return Options{Regions: "lab@52.5:13.4", Workers: 1, Toolset: "default", DataDir: filepath.Join(t.TempDir(), "data"),
		HTTPPort: freePort(t), DNSPort: freePort(t), AdminPort: freePort(t), EtcdPort: freePort(t)}
}

var ports struct {
	sync.Mutex
	next int
}

// freePort returns a port that, with the next one, is free, below the ephemeral ones.
func freePort(t *testing.T) int {
	t.Helper()
	ports.Lock()
	defer ports.Unlock()
	if ports.next == 0 {
		ports.next = 5000 + os.Getpid()%1000*4
	}
	for range 1000 {
		p := ports.next
		ports.next += 2
		if free("tcp", addr(p), "") == nil && free("tcp", addr(p+1), "") == nil && free("udp", addr(p), "") == nil {
			return p
		}
	}
	t.Fatal("no free port")
	return 0
}

func addr(port int) string { return net.JoinHostPort("127.0.0.1", fmt.Sprint(port)) }

// supervisor returns one whose children, called a and b, are this binary, and which starts and ends them as Run does.
func supervisor(t *testing.T) (*Supervisor, *printed) {
	t.Helper()
	plan, err := NewPlan(options(t))
	if err != nil {
		t.Fatal(err)
	}
	out := new(printed)
	s := New(plan, Programs{}, new(topology.Set), out)
	for _, name := range []string{"a", "b"} {
		s.specs = append(s.specs, spec{name: name, kind: "worker", path: os.Args[0], log: plan.logFile(name)})
	}
	ctx, cancel := context.WithCancel(context.Background())
	var starter sync.WaitGroup
	starter.Go(func() { s.runStarter(ctx) })
	t.Cleanup(func() {
		s.endAll()
		s.waits.Wait()
		cancel()
		starter.Wait()
	})
	return s, out
}
