// SPDX-License-Identifier: Apache-2.0

//go:build linux

package siege

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"meridian/internal/program"
	"meridian/internal/testnet"
)

// edge is a running edge program with a node behind it.
type edge struct {
	*program.Process
	clear, secure, admin string // addresses; HTTP/3 is at that of secure
	node                 *node
}

// settings are what a test wants otherwise than by default.
type settings struct {
	limits    string // of edge.yaml, as "head_timeout: 1s, max_connections: 5"
	timeouts  string // of the route
	accessLog string
}

// start starts an edge, which ends with the test. The node's checks are given time: it shares the processors with the attackers.
func start(t *testing.T, s settings) *edge {
	t.Helper()
	dir := t.TempDir()
	e := &edge{node: startNode(t)}
	put := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	cert, key := testnet.Certificate(t, "a.test")
	if s.accessLog == "" {
		s.accessLog = "off"
	}
	file := put("edge.yaml", fmt.Sprintf(`name: e1
region: lab
http: {listen: ["127.0.0.1:0"]}
https: {listen: ["127.0.0.1:0"], http3: true, certificates: [{cert: %q, key: %q}], handshake_timeout: %s}
admin: {listen: "127.0.0.1:0"}
topology_file: %q
access_log: %q
limits: {%s}
shutdown: {deadline: 1s}
`, put("a.crt", string(cert)), put("a.key", string(key)), size("2s", "10s"),
		put("topology.yaml", fmt.Sprintf("regions: [{name: lab}]\npools: [{name: web, health_check: {type: tcp, interval: 15s, timeout: 10s}}]\nnodes: [{name: n1, pool: web, region: lab, address: %q}]\nroutes: [{name: r, pool: web, timeouts: {%s}}]\n", e.node.addr, s.timeouts)),
		s.accessLog, s.limits))
	e.launch(t, file)
	testnet.Wait(t, "the edge to serve", func() bool {
		resp, err := plain.Get("http://" + e.clear + "/")
		if err == nil {
			resp.Body.Close()
		}
		return err == nil && resp.StatusCode == 200
	})
	return e
}

// plain asks without keeping a connection.
var plain = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 5 * time.Second}

var serving = regexp.MustCompile(`msg="edge is serving".* http="\[(\S+) (\S+)\]" admin=(\S+)`)

// launch starts the program and waits for it to say where it listens.
func (e *edge) launch(t *testing.T, file string) {
	t.Helper()
	e.Process = program.Start(t, exec.Command(filepath.Join(programs, "edge"), "serve", "-c", file))
	testnet.Wait(t, "the edge to listen", func() bool {
		m := serving.FindStringSubmatch(e.Out.String())
		if m != nil {
			e.clear, e.secure, e.admin = m[1], m[2], m[3]
		}
		return m != nil
	})
}

// rss returns the program's resident bytes, or 0 if it has ended.
func (e *edge) rss() int64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", e.Cmd.Process.Pid))
	f := strings.Fields(string(b))
	if err != nil || len(f) < 2 {
		return 0
	}
	pages, _ := strconv.ParseInt(f[1], 10, 64)
	return pages * int64(os.Getpagesize())
}

// memory is the most that was seen of a program's resident bytes, and of what the kernel has in the buffers of TCP.
type memory struct{ program, kernel int64 }

// watch watches the memory until what it returns is called, which says what the peaks were.
func (e *edge) watch() func() memory {
	stop, done := make(chan struct{}), make(chan memory, 1)
	go func() {
		var m memory
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			m.program, m.kernel = max(m.program, e.rss()), max(m.kernel, kernelTCP())
			select {
			case <-stop:
				done <- m
				return
			case <-tick.C:
			}
		}
	}()
	return func() memory {
		close(stop)
		return <-done
	}
}

var tcpMemory = regexp.MustCompile(`(?m)^TCP: .* mem (\d+)`)

// kernelTCP returns how many bytes the kernel has in the buffers of all TCP sockets of the machine.
func kernelTCP() int64 {
	b, _ := os.ReadFile("/proc/net/sockstat")
	if m := tcpMemory.FindSubmatch(b); m != nil {
		n, _ := strconv.ParseInt(string(m[1]), 10, 64)
		return n * int64(os.Getpagesize())
	}
	return 0
}

// metric returns a value of the edge's /metrics.
func (e *edge) metric(t *testing.T, name string) float64 {
	t.Helper()
	resp, err := plain.Get("http://" + e.admin + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	for s := bufio.NewScanner(io.LimitReader(resp.Body, 10<<20)); s.Scan(); {
		if v, ok := strings.CutPrefix(s.Text(), name+" "); ok {
			n, err := strconv.ParseFloat(v, 64)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatalf("there is no metric %s", name)
	return 0
}

// calm waits until the edge has closed all connections.
func (e *edge) calm(t *testing.T) {
	t.Helper()
	testnet.Wait(t, "the edge to have closed the attackers' connections", func() bool {
		return e.metric(t, "meridian_http_connections") == 0 && e.metric(t, "meridian_http_requests_in_flight") == 0 &&
			e.metric(t, "meridian_http2_connections") == 0
	})
}

// setFiles bounds how many files the program may have open, and returns how many that were before.
func (e *edge) setFiles(t *testing.T, n uint64) uint64 {
	t.Helper()
	var old unix.Rlimit
	if err := unix.Prlimit(e.Cmd.Process.Pid, unix.RLIMIT_NOFILE, nil, &old); err != nil {
		t.Fatal(err)
	}
	if err := unix.Prlimit(e.Cmd.Process.Pid, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: n, Max: old.Max}, nil); err != nil {
		t.Fatal(err)
	}
	return old.Cur
}

// files returns how many files the program has open.
func (e *edge) files(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", e.Cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}
