// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// Ours. A watch is silent while nothing changes, and gRPC pings no more often than every 10 s: only a question shows
// sooner that etcd is gone. It also keeps the connection under TCP_USER_TIMEOUT.
const (
	beatEvery   = time.Second
	beatTimeout = time.Second
	beatsMissed = 2 // in a row: not connected
)

// anchor is a write that this reader has seen. In the same history, it is found at its revision until that is compacted.
// A data directory that was wiped or restored keeps the cluster's id, and may have grown past the revision in use.
type anchor struct {
	key string
	mod int64
}

// beat is one answer to the question whether etcd is there.
type beat struct {
	err       error
	anchor    *anchor // which was asked for; nil: none, as nothing is stored
	before    int64   // the revision in use when it was asked
	rev       int64
	cluster   string
	moved     bool // the anchor is not in etcd's history
	compacted bool // the anchor's revision is compacted
}

// beat asks until ctx is done.
func (w *Watcher) beat(ctx context.Context) {
	t := time.NewTicker(beatEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		b := w.ask(ctx)
		select {
		case w.beats <- b:
		default: // Run's goroutine is busy with a listing and will learn from that
		}
	}
}

// ask reads the anchor. The read is linearizable, so that a member without a leader does not count.
func (w *Watcher) ask(ctx context.Context) beat {
	ctx, cancel := context.WithTimeout(ctx, beatTimeout)
	defer cancel()
	b := beat{before: w.state.seen.Load(), anchor: w.state.anchor.Load()}
	key, at := root, int64(0)
	if b.anchor != nil {
		key, at = b.anchor.key, b.anchor.mod
	}
	resp, err := w.c.etcd.Get(ctx, key, clientv3.WithRev(at), clientv3.WithKeysOnly())
	switch {
	case errors.Is(err, rpctypes.ErrCompacted):
		b.compacted = true
	case errors.Is(err, rpctypes.ErrFutureRev):
		b.moved = true
	case err != nil:
		b.err = err
	default:
		b.rev, b.cluster = resp.Header.Revision, fmt.Sprintf("%x", resp.Header.ClusterId)
		b.moved = b.anchor != nil && (len(resp.Kvs) == 0 || resp.Kvs[0].ModRevision != at) || b.rev < b.before
	}
	return b
}

// heard takes in an answer. created says that the watch is known to have started.
func (w *Watcher) heard(b beat, created bool) error {
	now := time.Now()
	if b.err != nil {
		if w.state.missed(now) {
			w.log.Warn("etcd does not answer; the last good topology stays in use", "err", b.err)
		}
		return nil
	}
	if b.anchor != w.state.anchor.Load() {
		return nil // asked before the last listing
	}
	if b.moved || (!b.compacted && b.cluster != w.state.status().Cluster) {
		return errAnother
	}
	if b.compacted {
		w.state.anchor.Store(w.view.raw.newest())
	}
	if created {
		w.reached(now)
	}
	return nil
}
