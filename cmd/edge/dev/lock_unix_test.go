// SPDX-License-Identifier: Apache-2.0

//go:build unix

package dev

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestOneRunHasTheDirectory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "data", "lock")
	if locked(path) {
		t.Error("a lock that does not exist is held")
	}
	held, err := lock(path)
	if err != nil {
		t.Fatal(err)
	}
	if !locked(path) {
		t.Error("the lock is not held")
	}
	if _, err := lock(path); err == nil || !strings.Contains(err.Error(), "another edge dev runs on "+filepath.Dir(path)) {
		t.Errorf("a second run: %v", err)
	}
	held.Close()
	if locked(path) {
		t.Error("the lock outlives its holder")
	}
}

func TestALookAtTheLockDoesNotRefuseARun(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_SH); err != nil { // as locked does, for a moment
		t.Fatal(err)
	}
	timer := time.AfterFunc(lockPause/2, func() { f.Close() })
	defer timer.Stop()
	held, err := lock(path)
	if err != nil {
		t.Fatal(err)
	}
	held.Close()
}

func TestADirectoryThatCannotBeIsToldInOneLine(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := lock(filepath.Join(file, "data", "lock"))
	if err == nil || !strings.Contains(err.Error(), filepath.Join(file, "data")+" can't be used") || !strings.Contains(err.Error(), "--data-dir") || strings.Contains(err.Error(), "\n") {
		t.Errorf("got %v", err)
	}
}
