// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"meridian/topology"
)

// WatcherConfig says what to do with the topology. Only Publish has no default.
type WatcherConfig struct {
	// Publish receives each new topology, from one goroutine, in the order of revisions. It should return soon.
	Publish func(*topology.Snapshot)
	// Hold is how long a live node or edge whose lease ran out is kept. Zero: 15s. Negative: not at all. Longer survives a
	// longer standstill of etcd and shows dead ones longer.
	Hold time.Duration
	// Down reports whether checks find a node or an edge dead. It is asked of what is kept beyond Hold, since many vanished at once, from
	// Run's goroutine. Nil: nothing is known to be dead, and that is kept until it returns.
	Down func(topology.Resource) bool
}

// Ours.
const (
	publishEvery   = 50 * time.Millisecond  // least time between two snapshots; a burst becomes one
	publishShare   = 4                      // at most one part in five of a processor is spent on making snapshots
	publishMax     = time.Second            // but a change never waits longer
	saveEvery      = time.Second            // least time between two writes to disk
	diskAfter      = 300 * time.Millisecond // without an answer of etcd the topology on disk is used
	retryAfter     = 100 * time.Millisecond // between two attempts to list or watch
	retryMax       = time.Second
	retryTooMuch   = 30 * time.Second // after more than a reader takes
	watchMustStart = 5 * time.Second  // while etcd answers otherwise
)

// Watcher follows the topology in etcd. Make it with Client.Watcher; call Run once.
type Watcher struct {
	// set once, never changed
	c     *Client
	cfg   WatcherConfig
	log   *slog.Logger
	saver *saver
	beats chan beat
	stats *stats

	state state // what Status tells

	// owned by Run's goroutine
	view        *view
	hold        hold
	disk        map[string]*item // what was on disk, until the first listing
	rev         int64            // everything up to here is in view
	listed      bool
	snap        *topology.Snapshot // as last published
	changed     bool               // view or hold differ from snap
	lastPublish time.Time
	gap         time.Duration // before the next publication
	unsaved     bool          // snap differs from what was offered to the disk
	lastSave    time.Time
	told        map[topology.Mistake]bool
	lines       int // in the log about bad values, for one answer of etcd
}

// Watcher makes a watcher; Run starts it.
func (c *Client) Watcher(cfg WatcherConfig) *Watcher {
	if cfg.Hold == 0 {
		cfg.Hold = 15 * time.Second
	}
	w := &Watcher{
		c: c, cfg: cfg, log: c.log, saver: newSaver(c.cfg.Dir, c.log), beats: make(chan beat, 1),
		view: newView(), hold: hold{length: max(0, cfg.Hold), items: map[string]heldItem{}, isDown: cfg.Down}, gap: publishEvery,
	}
	w.view.older, w.view.refused = c.goodBefore, w.tellRefused
	w.stats = newStats(w)
	w.state.start(time.Now())
	return w
}

// Run follows the topology until ctx is done and returns ctx's error. Whatever goes wrong meanwhile shows in Status and
// the metrics, and is tried again.
func (w *Watcher) Run(ctx context.Context) error {
	if w.cfg.Publish == nil {
		return errors.New("watch the topology: nobody to publish to")
	}
	sctx, stopSaver := context.WithCancel(context.WithoutCancel(ctx))
	var saving, beating sync.WaitGroup
	saving.Go(func() { w.saver.run(sctx) })
	defer saving.Wait()
	defer stopSaver()
	beating.Go(func() { w.beat(ctx) })
	defer beating.Wait()
	defer func() { w.save(time.Now()) }()
	w.loadDisk()
	told := ""
	for wait := retryAfter; ctx.Err() == nil; wait = min(2*wait, retryMax) {
		began := time.Now()
		err := w.follow(ctx)
		if ctx.Err() != nil {
			break
		}
		w.state.lost(time.Now())
		if time.Since(began) > 2*retryMax && !errors.Is(err, ErrUnreachable) {
			wait, told = retryAfter, ""
		}
		if reason := err.Error(); reason != told {
			told = reason
			w.log.Warn("the topology in etcd can't be followed; the last good one stays in use", "err", err)
		}
		if errors.Is(err, errTooMuch) {
			wait = retryTooMuch
			w.stats.tooMuch.Inc()
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
	return ctx.Err()
}

func (w *Watcher) loadDisk() {
	if w.c.cfg.Dir == "" {
		return
	}
	b, err := loadDisk(w.c.cfg.Dir)
	if err != nil {
		w.saver.errors.Add(1)
		w.log.Error("the last good topology on disk is broken", "err", err, "using the one before", b != nil)
	}
	if b != nil {
		w.disk, w.rev = b.items(), b.Revision
		w.state.update(func(s *Status) { s.Cluster = b.Cluster })
	}
}

// follow lists the topology where that is needed and watches it from there, until something goes wrong.
func (w *Watcher) follow(ctx context.Context) error {
	if !w.listed {
		if err := w.list(ctx); err != nil {
			return err
		}
	}
	err := w.watch(ctx)
	if resumable(err) {
		return err
	}
	w.listed = false
	return err
}

// resumable reports whether a watch that ended with err can go on where it ended.
func resumable(err error) bool {
	return errors.Is(err, rpctypes.ErrNoLeader) || errors.Is(err, ErrUnreachable) || errors.Is(err, errWatchEnded)
}

var (
	errWatchEnded = errors.New("the watch has ended")
	errAnother    = errors.New("another etcd answers, or one whose data was set back; reading everything anew")
)

// tellRefused logs a bad value, once.
func (w *Watcher) tellRefused(key string, b badValue) {
	w.stats.refused.Inc()
	if w.lines++; w.lines > maxToldAtOnce {
		return
	}
	w.log.Warn("refused a value in etcd", "key", printable(key), "revision", b.mod, "mistake", printable(b.mistakes[0].Error()), "using", b.using)
}
