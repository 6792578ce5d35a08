// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"time"

	"meridian/topology"
)

// publish makes the snapshot of what is in use and hands it on.
func (w *Watcher) publish(now time.Time) {
	snap, dangling := w.build()
	w.tellDangling(dangling)
	snap.Refused = sortRefusals(append(w.view.refusals(), dangling...))
	w.snap, w.changed, w.lastPublish = snap, false, now
	w.cfg.Publish(snap)
	w.stats.published.Inc()
	w.state.update(func(s *Status) {
		s.Revision, s.Refused = snap.Revision, snap.Refused
		s.RefusedValues, s.Held = len(w.view.bad)+len(w.view.raw.broken)+len(dangling), len(w.hold.items)
	})
	w.unsaved = w.c.cfg.Dir != "" && w.rev > 0 && !w.state.status().FromDisk
	// A very large topology with a change every moment must not take a processor for itself.
	w.gap = min(max(publishEvery, publishShare*time.Since(now)), publishMax)
}

// save offers what is in use to the disk.
func (w *Watcher) save(now time.Time) {
	if !w.unsaved {
		return
	}
	b := bodyOf(w.view.items, w.hold.items)
	b.Cluster, b.Revision = w.state.status().Cluster, w.rev
	w.saver.offer(b)
	w.unsaved, w.lastSave = false, now
}

// build makes the snapshot. A resource that refers to something missing is replaced by its last good form where that
// still resolves, else left out.
func (w *Watcher) build() (*topology.Snapshot, []topology.Refusal) {
	set := w.view.set(w.hold.items)
	rev := topology.Revision(w.rev)
	snap, problems := topology.Build(rev, set)
	replaced := false
	for _, p := range problems {
		if old := w.snap.Get(p.Key); old != nil && old != set[p.Key] {
			set[p.Key], replaced = old, true
		}
	}
	if replaced {
		snap, _ = topology.Build(rev, set)
	}
	var out []topology.Refusal
	for _, p := range problems {
		using := "nothing"
		if snap.Get(p.Key) != nil {
			using = "the last good value"
		}
		out = append(out, refusal(p, using))
	}
	return snap, out
}

// maxToldAtOnce bounds the lines that one snapshot, or one answer of etcd, writes into the log.
const maxToldAtOnce = 100

// tellDangling logs each reference to something missing once.
func (w *Watcher) tellDangling(dangling []topology.Refusal) {
	now := make(map[topology.Mistake]bool, len(dangling))
	lines := 0
	for _, d := range dangling {
		now[d.Mistake] = true
		if w.told[d.Mistake] {
			continue
		}
		w.stats.refused.Inc()
		if lines++; lines <= maxToldAtOnce {
			w.log.Warn("refused a resource", "mistake", d.Mistake.Error(), "using", d.Using)
		}
	}
	if lines > maxToldAtOnce {
		w.log.Warn("refused more resources; see the status", "more", lines-maxToldAtOnce)
	}
	w.told = now
}
