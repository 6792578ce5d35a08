// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/goleak"

	"meridian/internal/testnet"
	"meridian/topology"
)

func TestMain(m *testing.M) {
	if os.Getenv(serveEnv) != "" {
		serveAsChild()
		return
	}
	flag.Set("test.parallel", "4") // unless the command line says otherwise: most tests wait for an etcd
	goleak.VerifyTestMain(m,
		// etcd's server starts these once per process, or ends them some time after Close has returned.
		goleak.IgnoreTopFunction("gopkg.in/natefinch/lumberjack%2ev2.(*Logger).millRun"),
		goleak.IgnoreAnyFunction("go.etcd.io/etcd/pkg/v3/schedule.(*fifo).run"),
		goleak.IgnoreAnyFunction("go.etcd.io/etcd/server/v3/etcdserver/api/rafthttp.(*streamReader).run"),
	)
}

// server is an etcd in this process that can be stopped and started again on the same data and ports.
type server struct {
	cfg    ServerConfig
	cancel context.CancelFunc
	done   chan error
}

func newServer(t *testing.T) *server {
	t.Helper()
	s := &server{cfg: ServerConfig{Dir: t.TempDir(), ClientURL: "http://" + freeAddress(t), PeerURL: "http://" + freeAddress(t)}}
	s.start(t)
	t.Cleanup(func() { s.stop(t) })
	return s
}

// freeAddress is not an ephemeral port: those of an etcd that ends and starts again are free until it does.
func freeAddress(t *testing.T) string {
	t.Helper()
	return fmt.Sprintf("127.0.0.1:%d", testnet.Port(t))
}

func (s *server) start(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ready, done := make(chan struct{}), make(chan error, 1)
	cfg := s.cfg
	cfg.Ready = func() { close(ready) }
	go func() { done <- RunServer(ctx, cfg) }()
	s.cancel, s.done = cancel, done
	select {
	case <-ready:
	case err := <-done:
		t.Fatalf("etcd did not start: %v", err)
	case <-time.After(30 * time.Second):
		t.Fatal("etcd was not ready in 30s")
	}
}

// stop ends the server and waits for it; a second stop does nothing.
func (s *server) stop(t *testing.T) {
	t.Helper()
	if s.cancel == nil {
		return
	}
	s.cancel()
	if err := <-s.done; !errors.Is(err, context.Canceled) {
		t.Errorf("etcd ended with %v", err)
	}
	s.cancel = nil
}

func (s *server) client(t *testing.T, change ...func(*Config)) *Client {
	t.Helper()
	cfg := Config{Endpoints: []string{s.cfg.ClientURL}}
	for _, f := range change {
		f(&cfg)
	}
	c, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// logBuffer is a log that a test reads.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) count(s string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Count(l.b.Bytes(), []byte(s))
}

func (l *logBuffer) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// follower is a running watcher and everything that it published.
type follower struct {
	*Watcher
	mu     sync.Mutex
	snaps  []*topology.Snapshot
	notify chan struct{}
	stop   func()
}

func follow(t *testing.T, c *Client, cfg WatcherConfig) *follower {
	t.Helper()
	f := &follower{notify: make(chan struct{}, 1)}
	cfg.Publish = func(s *topology.Snapshot) {
		f.mu.Lock()
		f.snaps = append(f.snaps, s)
		f.mu.Unlock()
		select {
		case f.notify <- struct{}{}:
		default:
		}
	}
	f.Watcher = c.Watcher(cfg)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	f.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Run ended with %v", err)
		}
	})
	t.Cleanup(f.stop)
	return f
}

func (f *follower) all() []*topology.Snapshot {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]*topology.Snapshot{}, f.snaps...)
}

func (f *follower) latest() *topology.Snapshot {
	if all := f.all(); len(all) > 0 {
		return all[len(all)-1]
	}
	return nil
}

// until waits for a snapshot that is as wanted and returns how long that took.
func (f *follower) until(t *testing.T, most time.Duration, what string, ok func(*topology.Snapshot) bool) time.Duration {
	t.Helper()
	began := time.Now()
	deadline := time.After(most)
	for {
		if s := f.latest(); s != nil && ok(s) {
			return time.Since(began)
		}
		select {
		case <-f.notify:
		case <-deadline:
			t.Fatalf("no snapshot with %s within %s; the latest is %+v, the status %+v", what, most, f.latest(), f.Status())
		}
	}
}

// eventually waits for a condition that nothing announces.
func eventually(t *testing.T, most time.Duration, what string, ok func() bool) time.Duration {
	t.Helper()
	began := time.Now()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(most); !ok(); {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s did not happen within %s", what, most)
		}
	}
	return time.Since(began)
}

func deadline(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func mustApply(t *testing.T, c *Client, put ...topology.Resource) Result {
	t.Helper()
	res, err := c.Apply(deadline(t), Change{Put: put, Author: "test"})
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// write puts a value directly, as etcdctl does.
func write(t *testing.T, c *Client, key, value string) int64 {
	t.Helper()
	resp, err := c.etcd.Put(deadline(t), key, value)
	if err != nil {
		t.Fatal(err)
	}
	return resp.Header.Revision
}

// keys counts what etcd holds below a prefix.
func keys(t *testing.T, c *Client, prefix string) int64 {
	t.Helper()
	resp, err := c.etcd.Get(deadline(t), prefix, clientv3.WithPrefix(), clientv3.WithCountOnly())
	if err != nil {
		t.Fatal(err)
	}
	return resp.Count
}

func region(name string) *topology.Region { return &topology.Region{Name: topology.RegionID(name)} }
func pool(name string) *topology.Pool     { return &topology.Pool{Name: topology.PoolID(name)} }

func node(i int) *topology.Node {
	return &topology.Node{
		Name: topology.NodeID(fmt.Sprintf("n-%05d", i)), Pool: "mcp", Region: "here",
		Address: fmt.Sprintf("10.%d.%d.%d:8080", i>>16, i>>8&255, i&255),
	}
}

// fleet is a region, a pool and n nodes.
func fleet(n int) []topology.Resource {
	out := []topology.Resource{region("here"), pool("mcp")}
	for i := range n {
		out = append(out, node(i))
	}
	return out
}

func nodes(n int) func(*topology.Snapshot) bool {
	return func(s *topology.Snapshot) bool { return len(s.Nodes) == n }
}
