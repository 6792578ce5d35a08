// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"meridian/internal/program"
)

// reloadable is an edge on its own with a configuration that the test rewrites.
type reloadable struct {
	t       *testing.T
	file    string
	admin   string
	program *program.Process
}

func (r *reloadable) write(format string, args ...any) {
	r.t.Helper()
	if err := os.WriteFile(r.file, fmt.Appendf(nil, format, args...), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

func (r *reloadable) reload() (string, int) {
	r.t.Helper()
	var out bytes.Buffer
	cmd := exec.Command(filepath.Join(binDir, "edge"), "reload", "--admin", r.admin)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil && !errors.As(err, new(*exec.ExitError)) {
		r.t.Fatal(err)
	}
	return out.String(), cmd.ProcessState.ExitCode()
}

func (r *reloadable) wait(what string, ok func() bool) {
	r.t.Helper()
	tick, late := time.NewTicker(20*time.Millisecond), time.After(20*time.Second)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-late:
			r.t.Fatalf("%s: not within 20s; the edge printed:\n%s", what, r.program.Out)
		}
	}
}

// streamsNode serves /events, whose events come over the channel, and "ok" elsewhere.
func streamsNode(t *testing.T, events <-chan string) string {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if q.URL.Path != "/events" {
			io.WriteString(w, "ok")
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		for {
			w.(http.Flusher).Flush()
			select {
			case e := <-events:
				fmt.Fprintf(w, "data: %s\n\n", e)
			case <-q.Context().Done():
				return
			}
		}
	}))
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// TestReload changes nearly everything of a running edge with open streams on a listener that stays.
func TestReload(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	events := make(chan string)
	topologyFile := filepath.Join(dir, "topology.yaml")
	topology := fmt.Sprintf("regions: [{name: lab}]\npools: [{name: web, health_check: {type: tcp}}]\nnodes: [{name: n1, pool: web, region: lab, address: %q}]\nroutes: [{name: r, pool: web}]\n", streamsNode(t, events))
	if err := os.WriteFile(topologyFile, []byte(topology), 0o600); err != nil {
		t.Fatal(err)
	}
	at := func() string { return fmt.Sprintf("127.0.0.1:%d", freePort(t)) }
	stays, goes, comes, admin := at(), at(), at(), at()
	r := &reloadable{t: t, file: filepath.Join(dir, "edge.yaml"), admin: "http://" + admin}
	const form = "name: e1\nregion: lab\ntopology_file: %s\nadmin: {listen: %q}\nhttp: {listen: [%q, %q]}\n"
	r.write(form, topologyFile, admin, stays, goes)
	r.program = startProgram(t, "edge", "serve", "-c", r.file)
	get := func(addr, path string) (*http.Response, error) {
		tr := &http.Transport{DisableKeepAlives: true}
		q, err := http.NewRequest("GET", "http://"+addr+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		q.Header.Set("X-Long", strings.Repeat("x", 3000))
		return tr.RoundTrip(q)
	}
	status := func(addr string) int {
		resp, err := get(addr, "/")
		if err != nil {
			return 0
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	r.wait("the edge to serve", func() bool { return status(stays) == 200 })

	stream, err := get(stays, "/events")
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Body.Close()
	lines := bufio.NewReader(stream.Body)
	event := func(s string) {
		t.Helper()
		events <- s
		if got, err := lines.ReadString('\n'); got != "data: "+s+"\n" || err != nil {
			t.Fatalf("the stream brought %q, %v", got, err)
		}
		lines.ReadString('\n')
	}
	event("before")
	idle, err := net.Dial("tcp", goes)
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	io.WriteString(idle, "GET /healthz HTTP/1.1\r\nHost: a.test\r\n\r\n")
	fromIdle := bufio.NewReader(idle)
	if resp, err := http.ReadResponse(fromIdle, nil); err != nil {
		t.Fatal(err)
	} else {
		io.Copy(io.Discard, resp.Body)
	}

	// Mistakes change nothing.
	r.write(form+"limits: {head_timeout: 1ns, max_head_bytes: 2048}\nregion2: x\n", topologyFile, admin, stays, goes)
	if out, code := r.reload(); code != 1 || !strings.Contains(out, "edge.yaml:6:24: limits.head_timeout: ") ||
		!strings.Contains(out, "region2: there is no such field") || !strings.Contains(out, "nothing was changed") {
		t.Errorf("a wrong file: exit code %d, %s", code, out)
	}
	r.write(strings.Replace(form, "name: e1", "name: e2", 1)+"limits: {max_head_bytes: 2048}\n", topologyFile, admin, stays, goes)
	if out, code := r.reload(); code != 1 || !strings.Contains(out, "edge.yaml:1:7: name: it can't change while the edge runs") {
		t.Errorf("another name: exit code %d, %s", code, out)
	}
	r.write(form+"access_log: %s/none/x.log\ngeo: {database: %s/none.mmdb}\n", topologyFile, admin, comes, "127.0.0.1:"+strings.Split(admin, ":")[1], dir, dir)
	if out, code := r.reload(); code != 1 || !strings.Contains(out, "overlaps") {
		t.Errorf("the admin's port: exit code %d, %s", code, out)
	}
	r.write(form+"access_log: %s/none/x.log\ngeo: {database: %s/none.mmdb}\n", topologyFile, admin, stays, comes, dir, dir)
	if out, code := r.reload(); code != 1 || !strings.Contains(out, "access log: ") || !strings.Contains(out, "mmdb: ") || !strings.Contains(out, "2 mistakes") {
		t.Errorf("files that are not there: exit code %d, %s", code, out)
	}
	if status(comes) != 0 || status(goes) != 200 {
		t.Error("a reload that was refused has changed the listeners")
	}
	const refused = "the configuration was not reloaded"
	before := strings.Count(r.program.Out.String(), refused)
	r.program.Cmd.Process.Signal(syscall.SIGHUP)
	r.wait("the mistakes in the log", func() bool { return strings.Count(r.program.Out.String(), refused) == before+2 })
	event("after the mistakes")

	// The real change.
	log := filepath.Join(dir, "access.log")
	r.write(form+"limits: {max_head_bytes: 2048}\naccess_log: %s\nlog: {level: debug}\nmcp: {max_sessions: 10}\n", topologyFile, admin, stays, comes, log)
	if out, code := r.reload(); code != 0 || out != "reloaded; changed: access_log, http.listen, limits.max_head_bytes, log.level, mcp.max_sessions\n" {
		t.Fatalf("exit code %d, %s", code, out)
	}
	event("after the change")
	if got := []int{status(stays), status(comes), status(goes)}; got[0] != 431 || got[1] != 431 || got[2] != 0 {
		t.Errorf("stays, comes, goes: %v; want 431, 431 and none", got)
	}
	if rest, err := io.ReadAll(fromIdle); err != nil || len(rest) > 0 {
		t.Errorf("the idle connection of the listener that went: %q, %v", rest, err)
	}
	r.wait("lines in the new access log", func() bool {
		b, _ := os.ReadFile(log)
		return bytes.Contains(b, []byte(`"status":431`))
	})

	// By signal, and back.
	r.write(form, topologyFile, admin, goes, stays)
	r.program.Cmd.Process.Signal(syscall.SIGHUP)
	r.wait("the listener to be back", func() bool { return status(goes) == 200 && status(comes) == 0 })
	event("at the end")
	if out, code := r.reload(); code != 0 || out != "reloaded; nothing has changed\n" {
		t.Errorf("no change: exit code %d, %s", code, out)
	}
}
