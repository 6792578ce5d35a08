// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"sync/atomic"
)

// saver writes the newest topology to disk, one write at a time. A full or read-only disk is told once and counted.
type saver struct {
	// set once, never changed
	dir  string // empty: nothing is saved
	log  *slog.Logger
	wake chan struct{}

	mu   sync.Mutex // guards the field below
	next *diskBody

	errors atomic.Uint64

	// owned by run
	last   []byte // the items as last written
	failed bool
}

func newSaver(dir string, log *slog.Logger) *saver {
	return &saver{dir: dir, log: log, wake: make(chan struct{}, 1)}
}

// offer gives the saver a newer topology, which replaces one that it has not written yet. It never blocks.
func (s *saver) offer(b *diskBody) {
	s.mu.Lock()
	s.next = b
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// run saves what is offered until ctx is done, and then what is left.
func (s *saver) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			s.save()
			return
		case <-s.wake:
		}
		s.save()
	}
}

// save writes the newest topology unless the file already says the same.
func (s *saver) save() {
	s.mu.Lock()
	b := s.next
	s.next = nil
	s.mu.Unlock()
	if b == nil || s.dir == "" {
		return
	}
	items, err := json.Marshal(b.Items)
	if err == nil && bytes.Equal(items, s.last) {
		return
	}
	var all []byte
	if err == nil {
		all, err = encodeDisk(b)
	}
	if err == nil {
		err = writeDisk(s.dir, all)
	}
	if err != nil {
		s.errors.Add(1)
		if !s.failed {
			s.log.Error("the last good topology can't be kept on disk; without etcd this process would not start", "err", err)
		}
		s.failed = true
		return
	}
	if s.failed {
		s.log.Info("the last good topology is kept on disk again")
	}
	s.last, s.failed = items, false
}
