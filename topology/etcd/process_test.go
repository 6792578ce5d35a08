// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"meridian/topology"
)

// serveEnv makes the test's own program an etcd server: "DIR CLIENT-URL PEER-URL".
const serveEnv = "MERIDIAN_TEST_ETCD"

func serveAsChild() {
	f := strings.Fields(os.Getenv(serveEnv))
	err := RunServer(context.Background(), ServerConfig{Dir: f[0], ClientURL: f[1], PeerURL: f[2], Ready: func() { fmt.Println("ready") }})
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// startChild runs an etcd in a process of its own, so that it can be frozen and killed.
func startChild(t *testing.T, cfg ServerConfig) *os.Process {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s %s %s", serveEnv, cfg.Dir, cfg.ClientURL, cfg.PeerURL))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill() //nolint:errcheck // it may be gone already
		cmd.Wait()         //nolint:errcheck // it was killed
	})
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		t.Fatalf("the child said %q, %v", line, err)
	}
	return cmd.Process
}

func TestAFrozenThenKilledEtcdChangesNothingAndIsFollowedAgain(t *testing.T) {
	t.Parallel()
	s := &server{cfg: ServerConfig{Dir: t.TempDir(), ClientURL: "http://" + freeAddress(t), PeerURL: "http://" + freeAddress(t)}}
	etcd := startChild(t, s.cfg)
	c := s.client(t)
	mustApply(t, c, fleet(1)...)
	f := follow(t, s.client(t), WatcherConfig{})
	r, _ := register(t, s.client(t), RegistrarConfig{Key: node(7).Key(), TTL: 2 * time.Second, Value: valueOf(node(7))})
	f.until(t, 5*time.Second, "2 nodes", nodes(2))

	for name, standstill := range map[string]struct{ begin, end func() }{
		"frozen": {
			begin: func() { signal(t, etcd, syscall.SIGSTOP) },
			end:   func() { signal(t, etcd, syscall.SIGCONT) },
		},
		"killed": {
			begin: func() { signal(t, etcd, syscall.SIGKILL) },
			end:   func() { etcd = startChild(t, s.cfg) },
		},
	} {
		before := len(f.all())
		standstill.begin()
		took := eventually(t, 8*time.Second, "the loss being seen", func() bool { return f.Status().Stale })
		eventually(t, 8*time.Second, "the lease being given up", func() bool { return !r.Registered() })
		t.Logf("%s: seen after %s", name, took)
		standstill.end()
		back := time.Now()
		n := node(100 + before)
		mustApply(t, c, n)
		f.until(t, 5*time.Second, "the change", func(s *topology.Snapshot) bool { return s.Node(n.Name) != nil })
		if took := time.Since(back); took > 2*time.Second {
			t.Errorf("%s: a change was seen %s after etcd's return", name, took)
		}
		eventually(t, 5*time.Second, "the registration", r.Registered)
		if took := time.Since(back); took > 2*time.Second {
			t.Errorf("%s: registered %s after etcd's return", name, took)
		}
		t.Logf("%s: all well %s after the return", name, time.Since(back))
	}
	for _, s := range f.all() {
		if len(s.Nodes) >= 2 && s.Node("n-00007") == nil {
			t.Errorf("the live node was missing at revision %d", s.Revision)
		}
	}
}

func signal(t *testing.T, p *os.Process, s os.Signal) {
	t.Helper()
	if err := p.Signal(s); err != nil {
		t.Fatal(err)
	}
}
