// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"context"
	"fmt"
	"time"
)

// list reads the whole topology. When etcd does not answer soon and nothing is in use yet, the one on disk is.
func (w *Watcher) list(ctx context.Context) error {
	type answer struct {
		l   *listing
		err error
	}
	ch := make(chan answer, 1)
	go func() { // ends by itself: list bounds every request, and ctx ends them all
		l, err := w.c.list(ctx)
		ch <- answer{l, err}
	}()
	var a answer
	select {
	case a = <-ch:
	case <-time.After(diskAfter):
		w.useDisk()
		a = <-ch
	}
	if a.err != nil {
		w.useDisk()
		return a.err
	}
	w.take(ctx, a.l)
	return nil
}

// useDisk publishes what was on disk, if nothing has been published yet.
func (w *Watcher) useDisk() {
	if w.disk == nil || w.snap != nil {
		return
	}
	w.view.items = w.disk
	w.log.Warn("etcd does not answer; using the last good topology from disk", "revision", w.rev)
	w.state.update(func(s *Status) { s.FromDisk = true })
	w.publish(time.Now())
}

// take replaces the state by a listing.
func (w *Watcher) take(ctx context.Context, l *listing) {
	cluster := fmt.Sprintf("%x", l.cluster)
	first := w.state.status().FromDisk || w.snap == nil
	if was := w.state.status().Cluster; was != "" && (was != cluster || l.rev < w.rev) {
		w.log.Warn("etcd's data is not what it was: another cluster, or set back", "was_cluster", was, "cluster", cluster, "was_revision", w.rev, "revision", l.rev)
		first = true
	}
	if w.snap == nil { // what only the disk knows to be alive has lost its lease like any other
		w.view.items = w.disk
		if w.view.items == nil {
			w.view.items = map[string]*item{}
		}
		w.dropDesired(l.raw)
	}
	hctx, cancel := context.WithTimeout(ctx, maxHistoryListed)
	defer cancel()
	now := time.Now()
	w.stats.lists.Inc()
	w.rev, w.listed = l.rev, true
	w.state.anchor.Store(l.raw.newest())
	w.state.reached(now, w.rev)
	w.state.update(func(s *Status) { s.Cluster, s.FromDisk = cluster, false })
	w.after(w.view.reset(hctx, l.raw), now)
	w.hold.restart(now)
	w.disk = nil
	if w.changed = w.changed || first; w.changed {
		w.publish(now)
	}
}

// dropDesired forgets what operators deleted while this process was away, so that it is not told as a change.
func (w *Watcher) dropDesired(r *raw) {
	for key, it := range w.view.items {
		if _, there := r.effective(key); !there && !it.live {
			delete(w.view.items, key)
		}
	}
}

// after takes in what a refresh changed.
func (w *Watcher) after(d delta, now time.Time) {
	w.hold.add(d.gone, now)
	w.hold.returned(w.view.items)
	w.changed = w.changed || d.changed
	if more := w.lines - maxToldAtOnce; more > 0 {
		w.log.Warn("refused more values; see the status", "more", more)
	}
	w.lines = 0
}
