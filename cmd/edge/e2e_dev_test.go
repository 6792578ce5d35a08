// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"meridian/internal/testnet"
)

// refusedStart starts a fleet that must not come up, and returns what it printed.
func (f *testFleet) refusedStart(code int) string {
	f.t.Helper()
	f.launch()
	select {
	case <-f.done:
	case <-time.After(90 * time.Second):
		f.t.Fatalf("edge dev neither started nor refused:\n%s", f.out)
	}
	if got := f.cmd.ProcessState.ExitCode(); got != code {
		f.t.Errorf("exit code %d; want %d:\n%s", got, code, f.out)
	}
	f.cmd = nil
	return f.out.String()
}

func TestATakenPortIsNamedWithTheFlagThatChangesIt(t *testing.T) {
	t.Parallel()
	for flag, take := range map[string]func(*testFleet) (network, address string){
		"--http-port":  func(f *testFleet) (string, string) { return "tcp", f.httpAt(1) },
		"--dns-port":   func(f *testFleet) (string, string) { return "udp", f.dnsAt(2) },
		"--admin-port": func(f *testFleet) (string, string) { return "tcp", fmt.Sprintf("%s:%d", f.ip(0), f.admin) },
		"--etcd-port":  func(f *testFleet) (string, string) { return "tcp", fmt.Sprintf("127.0.0.1:%d", f.etcd+1) },
	} {
		f := newFleet(t)
		network, address := take(f)
		if network == "udp" {
			pc, err := net.ListenPacket(network, address)
			if err != nil {
				t.Fatal(err)
			}
			defer pc.Close()
		} else {
			ln, err := net.Listen(network, address)
			if err != nil {
				t.Fatal(err)
			}
			defer ln.Close()
		}
		_, port, _ := net.SplitHostPort(address)
		out := f.refusedStart(1)
		last := lastLine(out)
		if !strings.Contains(last, port) || !strings.Contains(last, flag) || !strings.HasPrefix(last, "edge: ") {
			t.Errorf("%s: the last line names not both the port %s and the flag:\n%s", flag, port, out)
		}
	}
}

func lastLine(s string) string {
	s = strings.TrimSpace(s)
	return s[strings.LastIndexByte(s, '\n')+1:]
}

func TestAWorkerThatCannotStartEndsTheWholeStart(t *testing.T) {
	t.Parallel()
	f := newFleet(t, "--regions", "us-east-1")
	f.programs = t.TempDir() // the real edge beside a backend that fails
	if err := os.Link(filepath.Join(binDir, "edge"), filepath.Join(f.programs, "edge")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(f.programs, "backend"), []byte("#!/bin/sh\necho 'no luck today' >&2\nexit 1\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	if out := f.refusedStart(1); !strings.Contains(lastLine(out), "no luck today") {
		t.Errorf("the last line does not say what is wrong:\n%s", out)
	}
	if !testnet.IsFree(f.etcd) || !testnet.IsFree(f.http) {
		t.Error("a process of the refused start is left behind")
	}
}

func TestWrongFlagsAreMisuse(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"--toolset", "nonsense"}, {"--http-port", "0"}, {"--workers", "-1"}, {"--regions", "atlantis-1"}, {"--regions", "us-east-1,us-east-1"}, {"--no-such-flag"},
	} {
		f := newFleet(t)
		_, errs, code := f.run(append([]string{"dev", "--data-dir", f.dir}, args...)...)
		if code != 2 || strings.Count(errs, "\n") != 1 || !strings.HasPrefix(errs, "edge: ") {
			t.Errorf("%v: got exit code %d, %q; want 2 and one line", args, code, errs)
		}
	}
}

// TestTheLifeOfAFleet starts, refuses a second on the same data, loses its supervisor, and finds its data again.
func TestTheLifeOfAFleet(t *testing.T) {
	t.Parallel()
	f := startFleet(t, "--regions", "us-east-1,lab@52.5:13.4", "--workers", "1")

	second := newFleet(t, f.args...)
	second.dir = f.dir
	if out := second.refusedStart(1); !strings.Contains(lastLine(out), "another edge dev runs on") || !strings.Contains(lastLine(out), "--data-dir") {
		t.Errorf("a second one on the same data: %s", out)
	}

	f.must("dev", "stop", "mcp-lab-1")
	f.waitFor("the worker left", 10*time.Second, func() error {
		st, err := f.status(1)
		if err != nil {
			return err
		}
		if len(st.Nodes) != 1 {
			return fmt.Errorf("%d nodes", len(st.Nodes))
		}
		return nil
	})
	if strings.Contains(f.out.String(), "died") {
		t.Errorf("a stop that was asked for is reported as a death:\n%s", f.out)
	}
	if _, errs, code := f.run("dev", "stop", "mcp-lab-1"); code != 1 || !strings.Contains(errs, "is not running") {
		t.Errorf("stopping it twice: %d %q", code, errs)
	}
	if _, errs, code := f.run("dev", "start", "nobody"); code != 1 || !strings.Contains(errs, "edge dev ps") {
		t.Errorf("starting nobody: %d %q", code, errs)
	}
	f.must("dev", "start", "mcp-lab-1")
	f.must("drain", "node/mcp-lab-1", "--reason", "to be found again")

	pids := f.pids()
	syscall.Kill(pids["mcp-us-east-1-1"], syscall.SIGSTOP) // even a child that can't react must end
	f.cmd.Process.Kill()
	<-f.done
	f.cmd = nil
	for name, pid := range pids {
		f.waitFor(name+" ends with its supervisor", 15*time.Second, func() error {
			if pid != 0 && syscall.Kill(pid, 0) == nil && !isZombie(pid) {
				return fmt.Errorf("pid %d is there", pid)
			}
			return nil
		})
	}
	if _, errs, code := f.run("dev", "ps"); code != 1 || !strings.Contains(errs, "no edge dev is running") {
		t.Errorf("ps without a fleet: %d %q", code, errs)
	}

	other := newFleet(t, "--regions", "us-east-1")
	other.dir = f.dir
	if out := lastLine(other.refusedStart(1)); !strings.Contains(out, "--regions lab,us-east-1") || !strings.Contains(out, "--data-dir") {
		t.Errorf("other regions on old data: %s", out)
	}

	f.start()
	if !strings.Contains(f.out.String(), "topology: kept") {
		t.Errorf("the second start does not keep the topology:\n%s", f.out)
	}
	if out := f.must("get", "drains"); !strings.Contains(out, "to be found again") {
		t.Errorf("the drain is lost over the restart: %s", out)
	}
}
