// SPDX-License-Identifier: Apache-2.0

// Package file is the other source of a topology: a file instead of etcd. It is read at the start and again when it
// changes; one with a mistake is refused whole, and the last good one stays in use.
//
// Parsing and checking are config's, what a resource means is topology's. Source.Run is the only goroutine.
//
//	s := file.New(file.Config{Path: "topology.yaml", Publish: store.Swap})
//	if err := s.Load(); err != nil { return err }
//	return s.Run(ctx)
package file

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"meridian/config"
	"meridian/topology"
)

// Config says which file, and who is told.
type Config struct {
	Path string
	// Publish is called with each new snapshot, by one goroutine at a time. Revisions count the good loads from 1.
	Publish func(*topology.Snapshot)
	// Poll is the time between two looks at the file. Zero: 500ms. A look is one stat.
	Poll time.Duration
	// Logger is told of changes and mistakes. Nil: discarded.
	Logger *slog.Logger
}

// maxBytes bounds the file; config's own bound is the same.
const maxBytes = 64 << 20

// Source follows one file.
type Source struct {
	cfg Config

	mu       sync.Mutex // guards the fields below
	revision topology.Revision
	seen     stamp     // of the last content that was looked at, good or not
	fault    error     // of the last look, nil if the file in use is the file on disk
	since    time.Time // of the present state of fault
}

// stamp tells two contents of the file apart without reading them.
type stamp struct {
	size int64
	mod  time.Time
}

// New returns a source. It reads nothing yet.
func New(cfg Config) *Source {
	if cfg.Poll == 0 {
		cfg.Poll = 500 * time.Millisecond
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Source{cfg: cfg, since: time.Now()}
}

// Status says how the source stands.
type Status struct {
	Revision topology.Revision
	// Fault is why the file as it is now is not in use, or nil.
	Fault error
	// Since is when Fault last appeared or went away.
	Since time.Time
}

// Status is safe for concurrent use.
func (s *Source) Status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Status{s.revision, s.fault, s.since}
}

// Load reads the file and publishes it. The error joins every mistake, each with its line; nothing is published then.
func (s *Source) Load() error {
	snap, st, err := s.read()
	s.mu.Lock()
	if (err == nil) != (s.fault == nil) {
		s.since = time.Now()
	}
	s.fault = err
	if !st.mod.IsZero() {
		s.seen = st
	}
	if err == nil {
		s.revision = snap.Revision
	}
	s.mu.Unlock()
	if err != nil {
		return err
	}
	s.cfg.Publish(snap)
	return nil
}

// read returns the snapshot of the file's content.
func (s *Source) read() (*topology.Snapshot, stamp, error) {
	f, err := os.Open(s.cfg.Path)
	if err != nil {
		return nil, stamp{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, stamp{}, err
	}
	st := stamp{info.Size(), info.ModTime()}
	b, err := io.ReadAll(io.LimitReader(f, maxBytes+1))
	if err != nil {
		return nil, st, err
	}
	tf, problems := config.ParseTopology(s.cfg.Path, b)
	problems = append(problems, tf.CheckAlone()...)
	if len(problems) > 0 {
		return nil, st, join(problems)
	}
	set := topology.Set{}
	for _, r := range tf.Resources {
		set.Put(r)
	}
	snap, dangling := topology.Build(s.Status().Revision+1, set)
	if len(dangling) > 0 {
		return nil, st, fmt.Errorf("%s: %w", s.cfg.Path, dangling[0])
	}
	return snap, st, nil
}

func join(problems []config.Problem) error {
	errs := make([]error, len(problems))
	for i, p := range problems {
		errs[i] = p
	}
	return errors.Join(errs...)
}

// Run looks at the file again and again until ctx ends, and loads it when it has changed.
func (s *Source) Run(ctx context.Context) error {
	tick := time.NewTicker(s.cfg.Poll)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
			s.look()
		}
	}
}

// look loads the file if it is not the one that was looked at last, and says so once.
func (s *Source) look() {
	info, err := os.Stat(s.cfg.Path)
	s.mu.Lock()
	same := err == nil && stamp{info.Size(), info.ModTime()} == s.seen
	gone := errors.Is(err, fs.ErrNotExist) && errors.Is(s.fault, fs.ErrNotExist)
	s.mu.Unlock()
	if same || gone {
		return
	}
	if err := s.Load(); err != nil {
		s.cfg.Logger.Error("the topology file is refused; the last good one stays in use", "file", s.cfg.Path, "error", strings.ReplaceAll(err.Error(), "\n", "; "))
		return
	}
	s.cfg.Logger.Info("the topology file was loaded", "file", s.cfg.Path, "revision", s.Status().Revision)
}
