// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"meridian/admin"
	"meridian/internal/program"
)

// runMain runs one command line in this process.
func runMain(args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = Main(args, &out, &errs)
	return code, out.String(), errs.String()
}

func TestAWrongCommandLineIsMisuseInOneLine(t *testing.T) {
	for _, c := range []struct {
		args string
		want string
	}{
		{"frobnicate", `no command "edge frobnicate"`},
		{"dev frobnicate", `no command "edge dev frobnicate"`},
		{"explain", "needs a command"},
		{"", "needs a command"},
		{"version x", "usage: edge version"},
		{"version --no-such", "unknown flag: --no-such; see edge version --help"},
		{"version -o xml", `-o "xml" is not a form`},
		{"get", "usage: edge get KIND"},
		{"get cows", `"cows" is not a kind`},
		{"get nodes a b", "usage: edge get"},
		{"check", "-c or -f is missing"},
		{"check -c a -f b", "one file at a time"},
		{"serve", "-c or --topology is missing"},
		{"etcd", "--data-dir is missing"},
		{"apply", "-f is missing"},
		{"drain", "usage: edge drain"},
		{"drain nodes", "name"},
		{"drain node/n-1 --deadline -1s", "--deadline -1s is in the past"},
		{"drain node/n-1 --deadline 0", "--deadline 0s is no time"},
		{"undrain nodes", "name"},
		{"explain dns mcp.test", "--from is missing"},
		{"dev --http-port 1 --admin-port 1", "--http-port and --admin-port"},
		{"dev stop", "usage: edge dev stop NAME"},
	} {
		code, _, errs := runMain(strings.Fields(c.args)...)
		if code != exitMisuse || !strings.Contains(errs, c.want) || !strings.HasPrefix(errs, "edge: ") || strings.Count(errs, "\n") != 1 {
			t.Errorf("edge %s: got %d %q; want 2 and one line with %q", c.args, code, errs, c.want)
		}
	}
}

func TestWhatFailsIsOneLineAndNoMisuse(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Setenv("HOME", t.TempDir())
	for _, args := range []string{
		"status --admin 127.0.0.1:1", "get nodes --admin http://127.0.0.1:1", "get node n-1 --admin http://127.0.0.1:1",
		"explain http GET http://a.test/ --admin 127.0.0.1:1", "explain request an-id --admin 127.0.0.1:1", "check -c /nowhere/edge.yaml", "apply -f /nowhere", "serve -c /nowhere",
		"dev ps", "dev stop etcd", "dev ps --data-dir /nowhere",
	} {
		code, out, errs := runMain(strings.Fields(args)...)
		if code != exitFailed || out != "" || !strings.HasPrefix(errs, "edge: ") || strings.Count(errs, "\n") != 1 {
			t.Errorf("edge %s: got %d %q %q; want 1 and one line", args, code, out, errs)
		}
	}
}

func TestAnErrorStaysOnOneLine(t *testing.T) {
	if got := oneLine("a\nb\r\n\nc"); got != "a; b; c" {
		t.Errorf("got %q", got)
	}
}

func TestHelpIsNoError(t *testing.T) {
	for _, args := range []string{"--help", "help", "dev --help", "help drain", "completion bash"} {
		if code, out, errs := runMain(strings.Fields(args)...); code != exitDone || out == "" || errs != "" {
			t.Errorf("edge %s: %d, %d bytes, %q", args, code, len(out), errs)
		}
	}
}

// TestASecondSignalEndsTheProcessAtOnce starts an edge with a long grace, so that the first signal alone takes its time.
func TestASecondSignalEndsTheProcessAtOnce(t *testing.T) {
	t.Parallel()
	adminAt := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	file := filepath.Join(t.TempDir(), "edge.yaml")
	writeText(t, file, "name: edge-a\nregion: a\nhttp: {listen: [\"127.0.0.1:0\"]}\nadmin: {listen: \""+adminAt+"\"}\ntopology_file: "+fileOf(t, oneTopology)+"\nshutdown: {grace: 10m}\n")
	p := program.Launch(t, exec.Command(filepath.Join(binDir, "edge"), "serve", "-c", file))
	defer p.Kill()
	ready := func() error { return (admin.Client{URL: "http://" + adminAt}).Ready(context.Background()) }
	until(t, "the edge is ready", func() bool { return ready() == nil })
	p.Cmd.Process.Signal(syscall.SIGTERM)
	until(t, "the edge is ending", func() bool {
		err := ready()
		return err != nil && strings.Contains(err.Error(), "the edge is ending")
	})
	until(t, "the process has ended", func() bool { // more than once: the first may come before it is listened to
		p.Cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-p.Done():
			return true
		default:
			return false
		}
	})
	if st := p.Cmd.ProcessState.Sys().(syscall.WaitStatus); !st.Signaled() || st.Signal() != syscall.SIGTERM {
		t.Errorf("it ended with %s", p.Cmd.ProcessState)
	}
}

// until waits for a condition.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s: not within 20s", what)
		}
	}
}
