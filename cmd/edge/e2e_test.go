// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"meridian/admin"
	"meridian/cmd/edge/dev"
	"meridian/internal/program"
	"meridian/internal/testnet"
)

// The end-to-end tests start the real programs, built once, with the race detector if the tests have it.

var binDir string

func TestMain(m *testing.M) {
	dir, err := program.Build(program.Race(), "meridian/cmd/edge", "meridian/cmd/backend")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.RemoveAll(dir)
		os.Exit(1)
	}
	binDir = dir
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		os.RemoveAll(dir)
		os.Exit(code)
	}))
}

// fleet is a running edge dev.
type testFleet struct {
	t                      *testing.T
	dir                    string // data
	home                   string // cache directory of its user
	programs               string // where edge and backend are
	args                   []string
	http, dns, admin, etcd int

	cmd  *exec.Cmd
	out  *program.Output
	done <-chan struct{}
}

// newFleet lays out a fleet without starting it: its own data, cache directory and ports.
func newFleet(t *testing.T, args ...string) *testFleet {
	t.Helper()
	f := &testFleet{t: t, dir: filepath.Join(t.TempDir(), "data"), home: t.TempDir(), args: args, programs: binDir}
	f.http, f.dns, f.admin, f.etcd = freePort(t), freePort(t), freePort(t), freePort(t)
	return f
}

// startFleet starts a fleet and waits until it is ready.
func startFleet(t *testing.T, args ...string) *testFleet {
	t.Helper()
	f := newFleet(t, args...)
	f.start()
	return f
}

// freePort returns a port that, with the next one, is free on the first four loopback addresses.
func freePort(t *testing.T) int {
	t.Helper()
	return testnet.Port(t)
}

func (f *testFleet) devArgs() []string {
	return append([]string{"dev", "--data-dir", f.dir, "--http-port", strconv.Itoa(f.http), "--dns-port", strconv.Itoa(f.dns),
		"--admin-port", strconv.Itoa(f.admin), "--etcd-port", strconv.Itoa(f.etcd)}, f.args...)
}

// launch starts edge dev without waiting for it.
func (f *testFleet) launch() {
	f.t.Helper()
	p := program.Launch(f.t, f.command(f.devArgs()...))
	f.cmd, f.out, f.done = p.Cmd, p.Out, p.Done()
	f.t.Cleanup(f.stop)
}

func (f *testFleet) start() {
	f.t.Helper()
	f.launch()
	f.waitFor("the fleet is ready", 90*time.Second, func() error {
		select {
		case <-f.done:
			f.t.Fatalf("edge dev ended before it was ready:\n%s", f.out)
		default:
		}
		if !strings.Contains(f.out.String(), "\nready: ") {
			return errors.New("no ready line yet:\n" + f.out.String())
		}
		return nil
	})
}

// stop ends the fleet as Ctrl-C does, and fails the test if it leaves a process behind.
func (f *testFleet) stop() {
	if f.cmd == nil {
		return
	}
	pids := f.pids()
	f.cmd.Process.Signal(syscall.SIGINT)
	select {
	case <-f.done:
	case <-time.After(60 * time.Second):
		f.t.Errorf("edge dev did not end within 60s of SIGINT:\n%s", f.out)
		f.cmd.Process.Kill()
		<-f.done
	}
	f.cmd = nil
	for name, pid := range pids {
		if pid != 0 && syscall.Kill(pid, 0) == nil && !isZombie(pid) {
			f.t.Errorf("%s (pid %d) is left behind", name, pid)
			syscall.Kill(pid, syscall.SIGKILL)
		}
	}
	if f.t.Failed() {
		f.t.Logf("edge dev printed:\n%s", f.out)
		f.logTails()
	}
}

func isZombie(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || strings.Contains(string(b), ") Z ")
}

// logTails logs the end of what each process has written.
func (f *testFleet) logTails() {
	files, _ := filepath.Glob(filepath.Join(f.dir, "logs", "*.log"))
	for _, name := range files {
		if strings.HasSuffix(name, ".access.log") {
			continue
		}
		b, _ := os.ReadFile(name)
		if len(b) > 4000 {
			b = b[len(b)-4000:]
		}
		if bytes.Contains(b, []byte("DATA RACE")) {
			f.t.Errorf("%s has a data race", filepath.Base(name))
		}
		f.t.Logf("%s:\n%s", filepath.Base(name), b)
	}
}

// command makes a command of the edge program as the fleet's user.
func (f *testFleet) command(args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(f.programs, "edge"), args...)
	cmd.Env = append(os.Environ(), "XDG_CACHE_HOME="+f.home, "HOME="+f.home)
	return cmd
}

// run runs a command of the edge program and returns what it printed and its exit code.
func (f *testFleet) run(args ...string) (stdout, stderr string, code int) {
	f.t.Helper()
	var out, errb bytes.Buffer
	cmd := f.command(args...)
	cmd.Stdout, cmd.Stderr = &out, &errb
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	if err := cmd.Start(); err != nil {
		f.t.Fatal(err)
	}
	stop := context.AfterFunc(ctx, func() { cmd.Process.Kill() })
	defer stop()
	cmd.Wait()
	return out.String(), errb.String(), cmd.ProcessState.ExitCode()
}

// must runs a command that must succeed and returns what it printed.
func (f *testFleet) must(args ...string) string {
	f.t.Helper()
	out, errs, code := f.run(args...)
	if code != 0 {
		f.t.Fatalf("edge %s: exit code %d\n%s%s", strings.Join(args, " "), code, out, errs)
	}
	return out
}

// pids returns the process of each name; 0 for one that is not running.
func (f *testFleet) pids() map[string]int {
	out, _, code := f.run("dev", "ps", "--data-dir", f.dir, "-o", "json")
	var ps []dev.Process
	pids := map[string]int{}
	if code == 0 && json.Unmarshal([]byte(out), &ps) == nil {
		for _, p := range ps {
			pids[p.Name] = p.PID
		}
	}
	return pids
}

// kill sends a signal to a process by name.
func (f *testFleet) kill(name string, sig syscall.Signal) {
	f.t.Helper()
	pid := f.pids()[name]
	if pid == 0 {
		f.t.Fatalf("%s is not running", name)
	}
	if err := syscall.Kill(pid, sig); err != nil {
		f.t.Fatalf("kill %s: %v", name, err)
	}
}

// patience is what any condition has at least: programs with the race detector share two processors with other packages' tests.
// No test fails on a time.
const patience = 30 * time.Second

// waitFor waits until ok returns nil.
func (f *testFleet) waitFor(what string, most time.Duration, ok func() error) time.Duration {
	f.t.Helper()
	most = max(most, patience)
	start := time.Now()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ok()
		if err == nil {
			return time.Since(start)
		}
		if time.Since(start) > most {
			f.t.Fatalf("not within %s: %s: %v", most, what, err)
		}
		<-tick.C
	}
}

// region n's addresses, counted from 0.
func (f *testFleet) ip(n int) string       { return fmt.Sprintf("127.0.0.%d", n+1) }
func (f *testFleet) httpAt(n int) string   { return fmt.Sprintf("%s:%d", f.ip(n), f.http) }
func (f *testFleet) httpURL(n int) string  { return "http://" + f.httpAt(n) }
func (f *testFleet) mcpURL(n int) string   { return f.httpURL(n) + "/mcp" }
func (f *testFleet) dnsAt(n int) string    { return fmt.Sprintf("%s:%d", f.ip(n), f.dns) }
func (f *testFleet) adminURL(n int) string { return fmt.Sprintf("http://%s:%d", f.ip(n), f.admin) }

// status asks region n's edge.
func (f *testFleet) status(n int) (admin.Status, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return admin.Client{URL: f.adminURL(n)}.Status(ctx)
}

// get makes one plain request.
func get(url string) (status int, body string, err error) {
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(url)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), err
}
