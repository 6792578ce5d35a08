// SPDX-License-Identifier: Apache-2.0

//go:build unix

package dev

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// lock takes the data directory for this process. The lock ends with the process, however that ends.
func lock(path string) (*os.File, error) {
	err := os.MkdirAll(filepath.Dir(path), 0o700)
	if err != nil {
		return nil, unusable(path, err)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, unusable(path, err)
	}
	for range lockTries { // locked, in another program, may have it for a moment
		if err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); !errors.Is(err, syscall.EWOULDBLOCK) {
			break
		}
		time.Sleep(lockPause)
	}
	if err != nil {
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("another edge dev runs on %s; stop it, or give this one its own --data-dir and ports", filepath.Dir(path))
		}
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return f, nil
}

// How often lock tries.
const (
	lockTries = 5
	lockPause = 20 * time.Millisecond
)

func unusable(path string, err error) error {
	return fmt.Errorf("the data directory %s can't be used: %w; choose another with --data-dir", filepath.Dir(path), err)
}

// locked reports whether a process holds the lock.
func locked(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	return syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB) != nil
}
