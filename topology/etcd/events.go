// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"context"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// watch takes in events until the watch ends.
func (w *Watcher) watch(ctx context.Context) error {
	wctx, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx))
	responses := make(chan clientv3.WatchResponse)
	var pumping sync.WaitGroup
	pumping.Go(func() { w.pump(wctx, w.rev+1, responses) })
	defer pumping.Wait()
	defer cancel()
	timer := time.NewTimer(0)
	defer timer.Stop()
	started, created := time.Now(), false
	for {
		timer.Reset(w.nextTimer(time.Now()))
		select {
		case <-ctx.Done():
			return ctx.Err()
		case resp, ok := <-responses:
			if !ok {
				return errWatchEnded
			}
			created = true
			if err := w.response(ctx, resp); err != nil {
				return err
			}
		case b := <-w.beats:
			if err := w.heard(b, created); err != nil {
				return err
			}
			if !created && b.err == nil && time.Since(started) > watchMustStart {
				return errWatchEnded
			}
		case <-timer.C:
		}
		w.due(time.Now())
	}
}

// pump moves responses of the watch, whose start can block for as long as etcd is away, to Run's goroutine.
func (w *Watcher) pump(ctx context.Context, from int64, out chan<- clientv3.WatchResponse) {
	defer close(out)
	in := w.c.etcd.Watch(ctx, root, clientv3.WithPrefix(), clientv3.WithRev(from), clientv3.WithProgressNotify(), clientv3.WithCreatedNotify())
	for resp := range in {
		select {
		case out <- resp:
		case <-ctx.Done():
		}
	}
}

// response takes in one answer of the watch, which holds whole revisions.
func (w *Watcher) response(ctx context.Context, resp clientv3.WatchResponse) error {
	if err := resp.Err(); err != nil {
		return w.c.explain(ctx, "watch the topology", err)
	}
	now := time.Now()
	for _, e := range resp.Events {
		if e.Type == clientv3.EventTypeDelete {
			w.view.raw.remove(string(e.Kv.Key))
		} else {
			w.view.raw.put(string(e.Kv.Key), kvOf(e.Kv))
		}
	}
	if w.state.anchor.Load() == nil {
		w.state.anchor.Store(w.view.raw.newest())
	}
	if err := w.view.raw.checkSize(); err != nil {
		return err
	}
	if len(resp.Events) > 0 || resp.IsProgressNotify() {
		w.rev = max(w.rev, resp.Header.Revision)
	}
	w.reached(now)
	if len(resp.Events) > 0 {
		hctx, cancel := context.WithTimeout(ctx, maxHistoryListed)
		w.after(w.view.refresh(hctx), now)
		cancel()
	}
	return nil
}

// reached notes that etcd has answered.
func (w *Watcher) reached(now time.Time) {
	if w.state.reached(now, w.rev) {
		w.hold.restart(now)
		w.log.Info("following the topology in etcd", "revision", w.rev)
	}
	w.judgeMass(now)
	if w.hold.expire(now) {
		w.changed = true
	}
}

// due does what is due by now.
func (w *Watcher) due(now time.Time) {
	if w.changed && now.Sub(w.lastPublish) >= w.gap {
		w.publish(now)
	}
	if now.Sub(w.lastSave) >= saveEvery {
		w.save(now)
	}
}

// nextTimer returns how long until something is due.
func (w *Watcher) nextTimer(now time.Time) time.Duration {
	wait := time.Hour
	if w.changed {
		wait = w.gap - now.Sub(w.lastPublish)
	}
	if w.unsaved {
		wait = min(wait, saveEvery-now.Sub(w.lastSave))
	}
	return max(0, wait)
}
