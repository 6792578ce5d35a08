// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"go.uber.org/goleak"

	"meridian/topology"
	"meridian/topology/etcd"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 30 * time.Second

// output collects what a program prints.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("never: %s", what)
		}
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// startEtcd runs a real etcd until the test ends, with a region and a pool in it, and returns its URL and a client.
func startEtcd(t *testing.T) (url string, c *etcd.Client) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	url = "http://" + freePort(t)
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- etcd.RunServer(ctx, etcd.ServerConfig{Dir: t.TempDir(), ClientURL: url, PeerURL: "http://" + freePort(t), Ready: func() { close(ready) }})
	}()
	select {
	case <-ready:
	case err := <-ended:
		t.Fatalf("etcd: %v", err)
	}
	c, err := etcd.Open(etcd.Config{Endpoints: []string{url}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); stop(); <-ended })
	_, err = c.Apply(t.Context(), etcd.Change{Put: []topology.Resource{
		&topology.Region{Name: "eu-central-1", Latitude: 50, Longitude: 8}, &topology.Pool{Name: "mcp", Protocol: "mcp"}}})
	if err != nil {
		t.Fatal(err)
	}
	return url, c
}

// program is serve with flags, run within the test.
type program struct {
	url  string
	stop context.CancelFunc
	err  chan error
	out  *output
}

func serve(t *testing.T, flags ...string) *program {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	p := &program{stop: stop, err: make(chan error, 1), out: &output{}}
	root := newRoot()
	root.SetArgs(append([]string{"serve", "--grace", "100ms"}, flags...))
	root.SetOut(p.out)
	root.SetErr(p.out)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		p.err <- root.ExecuteContext(ctx)
	}()
	t.Cleanup(func() { stop(); <-ended })
	return p
}

// listening waits for the line with the address.
func (p *program) listening(t *testing.T) *program {
	t.Helper()
	until(t, "it listens", func() bool {
		_, err := fmt.Sscanf(p.out.String(), "listening %s\n", &p.url)
		return err == nil
	})
	return p
}

func (p *program) ended(t *testing.T) error {
	t.Helper()
	select {
	case err := <-p.err:
		return err
	case <-time.After(patience):
		t.Fatal("it did not end")
		return nil
	}
}

// watch follows the topology as an edge does.
func watch(t *testing.T, c *etcd.Client) *seen {
	t.Helper()
	s := newSeen()
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		c.Watcher(etcd.WatcherConfig{Publish: s.publish, Hold: -1}).Run(ctx)
	}()
	t.Cleanup(func() { stop(); <-ended })
	return s
}

func TestWithoutEtcdItServes(t *testing.T) {
	p := serve(t, "--name", "mcp-1", "--region", "eu-central-1").listening(t)
	hc := &http.Client{Transport: &http.Transport{}}
	defer hc.CloseIdleConnections()
	s, err := mcp.NewClient(&mcp.Implementation{Name: "t", Version: "1"}, nil).Connect(t.Context(), &mcp.StreamableClientTransport{Endpoint: p.url, HTTPClient: hc}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	res, err := s.CallTool(t.Context(), &mcp.CallToolParams{Name: "echo", Arguments: map[string]any{"text": "hi"}})
	if err != nil || fmt.Sprint(res.StructuredContent) != "map[region:eu-central-1 text:hi worker:mcp-1]" {
		t.Errorf("got %+v, %v", res, err)
	}
	p.stop()
	if err := p.ended(t); err != nil {
		t.Errorf("the end: %v", err)
	}
}

func TestItRegistersTellsThatItLeavesAndDeregisters(t *testing.T) {
	url, c := startEtcd(t)
	s := watch(t, c)
	p := serve(t, "--etcd", url, "--name", "mcp-1", "--region", "eu-central-1", "--zone", "a", "--capacity-connections", "7", "--label", "role=x", "--grace", "1500ms").listening(t)
	node := func() *topology.Node { return s.store.Load().Node("mcp-1") }
	until(t, "the node is registered", func() bool { return node() != nil })
	if n := node(); n.Zone != "a" || !n.Live || n.Capacity.Connections != 7 || n.Labels["role"] != "x" || !strings.Contains(p.url, n.Address) {
		t.Errorf("got %+v, listening at %s", n, p.url)
	}
	initialize(t, p.url)
	until(t, "the session is told", func() bool { return node().Load != nil && node().Load.Sessions == 1 })
	p.stop()
	until(t, "it is told that it leaves", func() bool { return node() != nil && node().Leaving })
	until(t, "it is gone", func() bool { return node() == nil })
	if err := p.ended(t); err != nil {
		t.Errorf("the end: %v", err)
	}
}

func initialize(t *testing.T, url string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "POST", url, strings.NewReader(
		`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil || res.StatusCode != 200 {
		t.Fatalf("initialize: %s, %v", res.Status, err)
	}
}

func TestANameThatAnotherWorkerUsesIsRefused(t *testing.T) {
	url, c := startEtcd(t)
	s := watch(t, c)
	first := serve(t, "--etcd", url, "--name", "mcp-1", "--region", "eu-central-1").listening(t)
	until(t, "the first is registered", func() bool { return s.store.Load().Node("mcp-1") != nil })
	err := serve(t, "--etcd", url, "--name", "mcp-1", "--region", "eu-central-1").ended(t)
	addr, _, _ := strings.Cut(strings.TrimPrefix(first.url, "http://"), "/")
	if err == nil || !strings.Contains(err.Error(), addr) || !strings.Contains(err.Error(), "--name") {
		t.Errorf("got %v, want that %s has the name", err, addr)
	}
}

func TestAKilledWorkersRecordDoesNotStopItsSuccessor(t *testing.T) {
	url, c := startEtcd(t)
	s := watch(t, c)
	dead := freePort(t) // nobody listens there
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		n := &topology.Node{Name: "mcp-1", Pool: "mcp", Region: "eu-central-1", Address: dead}
		c.Registrar(etcd.RegistrarConfig{Key: n.Key(), Value: func() []byte { return topology.Encode(n) }}).Run(ctx)
	}()
	defer func() { stop(); <-ended }()
	until(t, "the record stands", func() bool { return s.store.Load().Node("mcp-1") != nil })
	p := serve(t, "--etcd", url, "--name", "mcp-1", "--region", "eu-central-1").listening(t)
	until(t, "the successor has the name", func() bool {
		n := s.store.Load().Node("mcp-1")
		return n != nil && strings.Contains(p.url, n.Address)
	})
}

func TestWithoutAnEtcdThatAnswersItServesAllTheSame(t *testing.T) {
	p := serve(t, "--etcd", "http://"+freePort(t), "--name", "mcp-1", "--region", "eu-central-1").listening(t)
	initialize(t, p.url)
	p.stop()
	if err := p.ended(t); err != nil {
		t.Errorf("the end: %v", err)
	}
}

func TestItEndsWithItsParent(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := withParent(context.Background(), r)
	defer stop()
	if ctx.Err() != nil {
		t.Fatal("ended while the parent lives")
	}
	w.Close()
	select {
	case <-ctx.Done():
	case <-time.After(patience):
		t.Error("the parent's end was not noticed")
	}
}

func TestMisuseIsTold(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
		code int
	}{
		{[]string{"serve", "--toolset", "hammer"}, "hammer", exitMisuse},
		{[]string{"serve", "--etcd", "http://127.0.0.1:1"}, "--name", exitMisuse},
		{[]string{"serve", "--etcd", "http://127.0.0.1:1", "--name", "a"}, "--region", exitMisuse},
		{[]string{"serve", "--etcd", "http://127.0.0.1:1", "--name", "A", "--region", "eu"}, "--name", exitMisuse},
		{[]string{"serve", "--etcd", "nowhere", "--name", "a", "--region", "eu"}, "nowhere", exitMisuse},
		{[]string{"serve", "--nonsense"}, "nonsense", exitMisuse},
		{[]string{"serve", "x"}, "x", exitMisuse},
		{[]string{"dance"}, "dance", exitMisuse},
		{[]string{"serve", "--capacity-connections", "-1"}, "capacity.connections", exitMisuse},
		{[]string{"serve", "--grace", "1m"}, "grace", exitMisuse},
		{[]string{"serve", "--listen", "192.0.2.1:80"}, "192.0.2.1:80", exitFailed},
	} {
		var out, errs bytes.Buffer
		code := Main(c.args, &out, &errs)
		if code != c.code || !strings.HasPrefix(errs.String(), "backend: ") || !strings.Contains(errs.String(), c.want) || strings.Count(errs.String(), "\n") != 1 {
			t.Errorf("%v: exit %d, %q; want exit %d and one line that names %s", c.args, code, errs.String(), c.code, c.want)
		}
	}
}

func TestVersionIsPrinted(t *testing.T) {
	var out bytes.Buffer
	if code := Main([]string{"version"}, &out, io.Discard); code != exitDone || !strings.HasPrefix(out.String(), "backend dev (go") {
		t.Errorf("exit %d, %q", code, out.String())
	}
}

func TestAnEndThatWasAskedForIsNoError(t *testing.T) {
	if err := ended(context.Canceled); err != nil {
		t.Errorf("got %v", err)
	}
	if err := ended(errors.New("broken")); err == nil {
		t.Error("a fault was passed over")
	}
}
