// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"meridian/topology"
)

// Status is how a Watcher stands.
type Status struct {
	// Connected says that etcd answers and the watch runs.
	Connected bool
	// Stale says that the topology in use may be behind etcd's: there is one, and Connected is false or it is from disk.
	Stale bool
	// Since is when Connected last changed, or when the watcher was made.
	Since time.Time
	// LastContact is when etcd last answered; zero: never.
	LastContact time.Time
	// Revision is that of the topology in use; 0: there is none yet. Seen is up to where etcd has been followed.
	Revision, Seen topology.Revision
	// Cluster is etcd's cluster id in hexadecimal; empty: not known yet.
	Cluster string
	// FromDisk says that the topology in use was read from disk.
	FromDisk bool
	// Refused are the values that were not taken, at most 1000 of them; RefusedValues counts all. Not to be changed.
	Refused       []topology.Refusal
	RefusedValues int
	// Held is how many nodes and edges are kept though their lease ran out.
	Held int
	// Mass says that so many of them vanished at once that they are kept until they return or checks find them dead, empty: it is not so.
	Mass string
	// The counters since the watcher was made.
	Publishes, Rejected, Lists, DiskErrors uint64
}

// state holds the status.
type state struct {
	seen   atomic.Int64           // revision up to which etcd has been followed
	anchor atomic.Pointer[anchor] // what the heartbeat looks for; set by Run's goroutine

	mu     sync.Mutex // guards the fields below
	s      Status
	misses int
}

func (t *state) start(now time.Time) { t.update(func(s *Status) { s.Since = now }) }

func (t *state) update(f func(*Status)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f(&t.s)
}

func (t *state) status() Status {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.s
}

// reached notes an answer of etcd. again says that there was none before.
func (t *state) reached(now time.Time, rev int64) (again bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.seen.Store(rev)
	t.misses, t.s.LastContact, t.s.Seen = 0, now, topology.Revision(rev)
	if again = !t.s.Connected; again {
		t.s.Connected, t.s.Since = true, now
	}
	return again
}

// missed notes a question without an answer. lost says that this one ends the contact.
func (t *state) missed(now time.Time) (lost bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.misses++; t.misses < beatsMissed || !t.s.Connected {
		return false
	}
	t.s.Connected, t.s.Since = false, now
	return true
}

// lost notes the end of the contact.
func (t *state) lost(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.s.Connected {
		t.s.Connected, t.s.Since = false, now
	}
}

// Status returns how the watcher stands. Safe for concurrent use.
func (w *Watcher) Status() Status {
	s := w.state.status()
	s.Stale = s.Revision > 0 && (!s.Connected || s.FromDisk)
	s.Publishes, s.Rejected, s.Lists = w.stats.published.Get(), w.stats.refused.Get(), w.stats.lists.Get()
	s.DiskErrors = w.saver.errors.Load()
	return s
}

// stats are the watcher's metrics.
type stats struct {
	set                                *metrics.Set
	published, refused, lists, tooMuch *metrics.Counter
}

func newStats(w *Watcher) *stats {
	set := metrics.NewSet()
	gauge := func(name string, f func(Status) float64) {
		set.NewGauge(name, func() float64 { return f(w.Status()) })
	}
	gauge("meridian_topology_revision", func(s Status) float64 { return float64(s.Revision) })
	gauge("meridian_topology_connected", func(s Status) float64 { return number(s.Connected) })
	gauge("meridian_topology_from_disk", func(s Status) float64 { return number(s.FromDisk) })
	gauge("meridian_topology_stale_seconds", func(s Status) float64 {
		if !s.Stale {
			return 0
		}
		return time.Since(s.Since).Seconds()
	})
	gauge("meridian_topology_refused", func(s Status) float64 { return float64(s.RefusedValues) })
	gauge("meridian_topology_held", func(s Status) float64 { return float64(s.Held) })
	gauge("meridian_topology_mass_disappearance", func(s Status) float64 { return number(s.Mass != "") })
	gauge("meridian_topology_disk_errors_total", func(s Status) float64 { return float64(s.DiskErrors) })
	return &stats{
		set:       set,
		published: set.NewCounter("meridian_topology_publishes_total"),
		refused:   set.NewCounter("meridian_topology_refusals_total"),
		lists:     set.NewCounter("meridian_topology_lists_total"),
		tooMuch:   set.NewCounter("meridian_topology_too_large_total"),
	}
}

func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// WritePrometheus writes the watcher's metrics in Prometheus' text format. Safe for concurrent use.
func (w *Watcher) WritePrometheus(out io.Writer) { w.stats.set.WritePrometheus(out) }
