// SPDX-License-Identifier: Apache-2.0

package file

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"meridian/topology"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const good = `
regions:
  - {name: lab, latitude: 1, longitude: 2}
pools:
  - {name: web}
nodes:
  - {name: web-1, pool: web, region: lab, address: "127.0.0.1:9"}
`

// start writes the first content and returns a running source, its file and what it publishes.
func start(t *testing.T, content string) (*Source, string, chan *topology.Snapshot) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "topology.yaml")
	write(t, path, content)
	published := make(chan *topology.Snapshot, 8)
	s := New(Config{Path: path, Poll: 5 * time.Millisecond, Publish: func(s *topology.Snapshot) { published <- s }})
	if err := s.Load(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Run: got %v; want the context's error", err)
		}
	})
	return s, path, published
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path+".new", []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

func next(t *testing.T, published chan *topology.Snapshot) *topology.Snapshot {
	t.Helper()
	select {
	case s := <-published:
		return s
	case <-time.After(10 * time.Second):
		t.Fatal("nothing was published")
		return nil
	}
}

// until waits for a condition that another goroutine brings about.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(10 * time.Second)
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not after 10s: %s", what)
		}
	}
}

func TestAChangedFileIsLoadedAgain(t *testing.T) {
	_, path, published := start(t, good)
	if s := next(t, published); s.Revision != 1 || len(s.Nodes) != 1 {
		t.Fatalf("got revision %d with %d nodes; want 1 with 1", s.Revision, len(s.Nodes))
	}
	write(t, path, good+`  - {name: web-2, pool: web, region: lab, address: "127.0.0.1:10"}`+"\n")
	if s := next(t, published); s.Revision != 2 || len(s.Nodes) != 2 {
		t.Errorf("got revision %d with %d nodes; want 2 with 2", s.Revision, len(s.Nodes))
	}
}

func TestAWrongFileIsRefusedWholeAndTheLastGoodOneStays(t *testing.T) {
	s, path, published := start(t, good)
	next(t, published)
	write(t, path, strings.ReplaceAll(good, "pool: web", "pool: wbe")+"routes:\n  - {name: r, pool: nil, tries: 99}\n")
	until(t, "the fault is seen", func() bool { return s.Status().Fault != nil })
	text := s.Status().Fault.Error()
	for _, want := range []string{"wbe", "tries", "topology.yaml:"} {
		if !strings.Contains(text, want) {
			t.Errorf("the fault does not name %q:\n%s", want, text)
		}
	}
	if st := s.Status(); st.Revision != 1 {
		t.Errorf("got revision %d; want the last good one, 1", st.Revision)
	}
	write(t, path, good)
	if got := next(t, published); got.Revision != 2 {
		t.Errorf("got revision %d after the mend; want 2", got.Revision)
	}
	until(t, "the fault is gone", func() bool { return s.Status().Fault == nil })
}

func TestARemovedFileIsAFaultUntilItIsBack(t *testing.T) {
	s, path, published := start(t, good)
	next(t, published)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	until(t, "the fault is seen", func() bool { return errors.Is(s.Status().Fault, os.ErrNotExist) })
	write(t, path, good)
	if got := next(t, published); got.Revision != 2 {
		t.Errorf("got revision %d; want 2", got.Revision)
	}
}

func TestLoadNamesEveryMistake(t *testing.T) {
	path := filepath.Join(t.TempDir(), "topology.yaml")
	write(t, path, "regions:\n  - {name: LAB, latitude: 100}\n")
	s := New(Config{Path: path, Publish: func(*topology.Snapshot) { t.Error("a wrong file was published") }})
	err := s.Load()
	if err == nil || !strings.Contains(err.Error(), "latitude") || !strings.Contains(err.Error(), "LAB") {
		t.Errorf("got %v; want both mistakes named", err)
	}
}
