// SPDX-License-Identifier: Apache-2.0

//go:build linux

package siege

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"meridian/internal/testnet"
)

// kept is a client's connection that is used for one request after the other.
type kept struct {
	net.Conn
	r *bufio.Reader
}

func keep(t *testing.T, e *edge) *kept {
	t.Helper()
	c := testnet.Dial(t, e.clear)
	return &kept{c.Conn, bufio.NewReader(c.Conn)}
}

// ask returns the status of the answer.
func (k *kept) ask(path string) (int, error) {
	if _, err := fmt.Fprintf(k, "GET %s HTTP/1.1\r\nHost: a.test\r\n\r\n", path); err != nil {
		return 0, err
	}
	resp, err := http.ReadResponse(k.r, nil)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, err
}

// TestOpenConnectionsGoOnWhileThereAreNoFiles takes the edge its file descriptors: it accepts nobody, says so once and tries
// again with pauses, while those who are connected are served; and it recovers.
func TestOpenConnectionsGoOnWhileThereAreNoFiles(t *testing.T) {
	alone(t)
	e := start(t, settings{})
	client := keep(t, e)
	plain := &http.Client{Timeout: testnet.Patience} // keeps its connection to the admin API
	defer plain.CloseIdleConnections()
	admin := func() string {
		t.Helper()
		resp, err := plain.Get("http://" + e.admin + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		_, rest, _ := strings.Cut(string(b), "\nmeridian_http_accept_errors_total ")
		n, _, _ := strings.Cut(rest, "\n")
		return n
	}
	served := func() {
		t.Helper()
		if status, err := client.ask("/"); status != 200 || err != nil {
			t.Fatalf("a client that is connected: %d, %v", status, err)
		}
	}
	served()
	if n := admin(); n != "0" {
		t.Fatalf("%s failures before", n)
	}
	old := e.setFiles(t, uint64(e.files(t)))
	var late [5]*testnet.Conn // wait in the kernel, but for those that get a descriptor which was closed before
	for i := range late {
		late[i] = testnet.Dial(t, e.clear)
	}
	testnet.Wait(t, "some tries", func() bool { served(); return admin() >= "5" })
	if n := strings.Count(e.Out.String(), "no connection can be taken"); n != 1 {
		t.Errorf("it was said %d times", n)
	}
	if strings.Contains(e.Out.String(), "ERROR: metrics") {
		t.Error("each scrape printed a line")
	}
	e.setFiles(t, old)
	for _, c := range late {
		c.Send("GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n")
		if got, _ := c.ReadAll(); !strings.HasPrefix(got, "HTTP/1.1 200 ") {
			t.Errorf("who waited got %q", got)
		}
	}
	testnet.Wait(t, "the edge to say that it goes on", func() bool { return strings.Contains(e.Out.String(), "connections are taken again") })
	served()
}

// TestWithoutFilesForNodesARequestIsRefusedAndTheNextOneServed takes the edge the descriptors that it needs for nodes.
func TestWithoutFilesForNodesARequestIsRefusedAndTheNextOneServed(t *testing.T) {
	alone(t)
	const many, free = 12, 3
	e := start(t, settings{})
	clients := make([]*kept, many)
	for i := range clients {
		clients[i] = keep(t, e)
		if status, err := clients[i].ask("/"); status != 200 || err != nil {
			t.Fatalf("%d, %v", status, err)
		}
	}
	old := e.setFiles(t, uint64(e.files(t)+free))
	statuses := make(chan int, many)
	for _, c := range clients {
		go func() {
			status, err := c.ask("/hold")
			if err != nil {
				t.Error(err)
			}
			statuses <- status
		}()
	}
	refused := 0
	for range many / 2 { // of the others some wait at the node
		if status := <-statuses; status == 503 {
			refused++
		} else {
			t.Errorf("status %d, want 503", status)
		}
	}
	e.setFiles(t, old)
	close(e.node.held)
	for range many - many/2 {
		if status := <-statuses; status == 503 {
			refused++
		} else if status != 200 {
			t.Errorf("status %d", status)
		}
	}
	if refused == many {
		t.Error("none was served")
	}
	if strings.Contains(e.Out.String(), "of=n1 state=suspect") {
		t.Error("the node was blamed")
	}
	for _, c := range clients {
		if status, err := c.ask("/"); status != 200 || err != nil {
			t.Errorf("afterwards: %d, %v", status, err)
		}
	}
}

// TestAFullDiskCostsLinesOfTheAccessLogOnly logs to a device that is full, and then to one that is not.
func TestAFullDiskCostsLinesOfTheAccessLogOnly(t *testing.T) {
	alone(t)
	if _, err := os.Stat("/dev/full"); errors.Is(err, os.ErrNotExist) {
		t.Skip("there is no /dev/full here")
	}
	dir := t.TempDir()
	path, file := filepath.Join(dir, "access.log"), filepath.Join(dir, "file")
	link := func(to string) {
		t.Helper()
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		if err := os.Symlink(to, path); err != nil {
			t.Fatal(err)
		}
	}
	link("/dev/full")
	e := start(t, settings{accessLog: path})
	if r := e.canary(t, 300*time.Millisecond); r.Failed > 0 {
		t.Errorf("with a full disk: %s", r)
	}
	testnet.Wait(t, "the failures to be counted", func() bool { return e.metric(t, "meridian_access_log_errors_total") > 0 })
	link(file)
	if err := e.Cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	testnet.Wait(t, "a line in the new file", func() bool {
		resp, err := plain.Get("http://" + e.clear + "/there")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		b, _ := os.ReadFile(file)
		return strings.Contains(string(b), `"/there"`)
	})
}
