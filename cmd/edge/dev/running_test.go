// SPDX-License-Identifier: Apache-2.0

package dev

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// run announces a run on a directory of its own, which it holds until the test ends or release is called.
func run(t *testing.T, pid int, started time.Time) (r *Running, release func()) {
	t.Helper()
	dir := t.TempDir()
	held, err := lock(filepath.Join(dir, "lock"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { held.Close() })
	r = &Running{PID: pid, DataDir: dir, Started: started, Etcd: "http://127.0.0.1:1", Control: "127.0.0.1:2", Token: "secret",
		Edges: []RunningEdge{{Name: "edge-lab", Region: "lab", Admin: "http://127.0.0.1:3"}}}
	if err := r.announce(); err != nil {
		t.Fatal(err)
	}
	return r, func() { held.Close() }
}

func ownCache(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Setenv("HOME", t.TempDir())
}

func TestTheRunThatWasStartedLastIsFound(t *testing.T) {
	ownCache(t)
	if r := Find(""); r != nil {
		t.Fatalf("found %+v where none runs", r)
	}
	now := time.Now()
	old, _ := run(t, 101, now.Add(-time.Hour))
	last, release := run(t, 102, now)
	if r := Find(""); r == nil || r.PID != 102 || r.Token != "secret" {
		t.Errorf("got %+v; want the later one", r)
	}
	if r := Find(old.DataDir); r == nil || r.PID != 101 {
		t.Errorf("by its directory: got %+v", r)
	}
	release() // as if it had been killed
	if r := Find(""); r == nil || r.PID != 101 {
		t.Errorf("after the later one was killed: got %+v", r)
	}
	if _, err := os.Stat(last.path()); !os.IsNotExist(err) {
		t.Errorf("the file of a killed run stays: %v", err)
	}
	old.withdraw()
	if r := Find(""); r != nil {
		t.Errorf("after all have ended: got %+v", r)
	}
	if r := Find(old.DataDir); r != nil {
		t.Errorf("after all have ended, by its directory: got %+v", r)
	}
}

func TestAFileThatIsNoRunIsPassedOver(t *testing.T) {
	ownCache(t)
	r, _ := run(t, 103, time.Now())
	r.Edges = nil
	if err := r.announce(); err != nil {
		t.Fatal(err)
	}
	if got := Find(""); got != nil {
		t.Errorf("a run without edges: got %+v", got)
	}
	if err := replaceFile(r.path(), []byte("{")); err != nil {
		t.Fatal(err)
	}
	if got := Find(""); got != nil {
		t.Errorf("half a file: got %+v", got)
	}
}

func TestOnlyTheUserCanReadTheToken(t *testing.T) {
	ownCache(t)
	r, _ := run(t, 104, time.Now())
	for _, path := range []string{r.path(), filepath.Join(r.DataDir, "running.json")} {
		st, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if st.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", path, st.Mode())
		}
	}
	b, err := json.Marshal(r.public())
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(b), "secret") || strings.Contains(string(b), "token") || r.Token != "secret" {
		t.Errorf("what is shown has the token: %s", b)
	}
}
