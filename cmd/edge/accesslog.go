// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"os"
	"sync"
)

// openAccessLog returns where the access log goes.
func openAccessLog(where string, stderr io.Writer) (*reopener, error) {
	r := &reopener{stderr: stderr, where: "off", w: io.Discard}
	commit, _, err := r.prepare(where)
	if err != nil {
		return nil, err
	}
	commit()
	return r, nil
}

// reopener is a log that can be opened anew after its file has been moved away, and can be sent elsewhere. Safe for
// concurrent use.
type reopener struct {
	stderr io.Writer

	mu    sync.Mutex // guards the fields below
	where string
	w     io.Writer
	f     *os.File // nil: not a file
}

// Write implements io.Writer.
func (r *reopener) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.w.Write(b)
}

// writer returns what the proxy is given for a log that goes there: nil for "off".
func (r *reopener) writer(where string) io.Writer {
	if isOff(where) {
		return nil
	}
	return r
}

func isOff(where string) bool { return where == "" || where == "off" }

// prepare opens what where names, so that nothing can fail any more when commit uses it. One of the two that it returns
// must be called. The log as it was stays in use until then.
func (r *reopener) prepare(where string) (commit, abort func(), err error) {
	r.mu.Lock()
	same := r.where == where
	r.mu.Unlock()
	switch {
	case same:
		return func() {}, func() {}, nil
	case isOff(where):
		return func() { r.use(where, io.Discard, nil) }, func() {}, nil
	case where == "stderr":
		return func() { r.use(where, r.stderr, nil) }, func() {}, nil
	}
	f, err := open(where)
	if err != nil {
		return nil, nil, err
	}
	return func() { r.use(where, f, f) }, func() { f.Close() }, nil
}

func open(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
	if err != nil {
		return nil, fmt.Errorf("access log: %w", err)
	}
	return f, nil
}

// use exchanges the log and closes the file before.
func (r *reopener) use(where string, w io.Writer, f *os.File) {
	r.mu.Lock()
	old := r.f
	r.where, r.w, r.f = where, w, f
	r.mu.Unlock()
	if old != nil {
		old.Close()
	}
}

// reopen opens the file again. On an error the file as it was stays in use.
func (r *reopener) reopen() error {
	r.mu.Lock()
	where, isFile := r.where, r.f != nil
	r.mu.Unlock()
	if !isFile {
		return nil
	}
	f, err := open(where)
	if err != nil {
		return err
	}
	r.use(where, f, f)
	return nil
}

// Close closes the file.
func (r *reopener) Close() error {
	if r == nil {
		return nil
	}
	r.use("off", io.Discard, nil)
	return nil
}
