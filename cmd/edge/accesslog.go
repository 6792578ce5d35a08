// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"os"
	"sync"
)

// openAccessLog returns where the access log goes: nil for "off".
func openAccessLog(where string, stderr io.Writer) (*reopener, error) {
	switch where {
	case "", "off":
		return nil, nil
	case "stderr":
		return &reopener{w: stderr}, nil
	}
	r := &reopener{path: where}
	return r, r.reopen()
}

// reopener is a log file that can be opened anew after it has been moved away. Safe for concurrent use.
type reopener struct {
	path string // empty: not a file

	mu sync.Mutex // guards the fields below
	w  io.Writer
	f  *os.File
}

// Write implements io.Writer.
func (r *reopener) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.w.Write(b)
}

// reopen opens the path again. On an error the file as it was stays in use.
func (r *reopener) reopen() error {
	if r == nil || r.path == "" {
		return nil
	}
	f, err := os.OpenFile(r.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
	if err != nil {
		return fmt.Errorf("access log: %w", err)
	}
	r.mu.Lock()
	old := r.f
	r.w, r.f = f, f
	r.mu.Unlock()
	if old != nil {
		old.Close()
	}
	return nil
}

// Close closes the file.
func (r *reopener) Close() error {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.f == nil {
		return nil
	}
	return r.f.Close()
}
