// SPDX-License-Identifier: Apache-2.0

// Package probe runs the active checks of nodes and of other edges on a schedule, and hands each result to a
// health.Tracker, which gives the verdict and says when to check again. What an edge reports of itself in answer to its
// check goes to a function.
//
// It knows nothing of pools, verdicts and routing. Run owns every goroutine: one that schedules, and one per check while
// it lasts, at most MaxConcurrent.
//
//	p := probe.New(probe.Config{Tracker: tracker, Report: func(e topology.EdgeID, r *topology.Report) { … }})
//	p.SetTargets(targets) // at the start, and whenever the topology changes
//	p.Kick("mcp-1")       // a connection to it has just failed
//	err := p.Run(ctx)
package probe

import (
	"container/heap"
	"context"
	"crypto/x509"
	"log/slog"
	"strings"
	"sync"
	"time"

	"meridian/health"
	"meridian/topology"
)

// Kind is what a target is.
type Kind uint8

// The kinds.
const (
	Node Kind = iota // checked as its pool says
	Edge             // asked for its report at the admin address
)

// Target is what is checked.
type Target struct {
	// ID is the target's name at the tracker. What stands after the last "/" of an edge's is its EdgeID.
	ID   string
	Kind Kind
	// Address is IP:PORT: of a node's service, of an edge's admin listener.
	Address string
	// Check says how, with the defaults of topology.HealthCheck. Of an edge only Interval (for the first check),
	// Jitter and Timeout are used. The time between two checks is the tracker's word.
	Check topology.HealthCheck
}

// Config configures a Prober.
type Config struct {
	// Tracker takes the results. Required.
	Tracker *health.Tracker
	// Report takes what an edge reports of itself, after the tracker has been told. It must not block. Nil: nobody.
	Report func(topology.EdgeID, *topology.Report)
	// Logger is told of faults of this machine that keep checks from being made. Nil: nobody.
	Logger *slog.Logger
	// MaxConcurrent is the most checks at once; a target that is due when as many run waits. Zero: 256. More needs as
	// many file descriptors; fewer lets targets that hang delay the checks of others.
	MaxConcurrent int
	// Roots are the authorities whose certificates nodes may have. Nil: those that this machine trusts.
	Roots *x509.CertPool
}

const defaultMaxConcurrent = 256

// Prober checks targets. SetTargets and Kick are safe for concurrent use, before, while and after Run runs.
type Prober struct {
	// Set once, never changed.

	cfg   Config
	check func(context.Context, Target) result
	wake  chan struct{} // one token: the schedule has changed

	mu       sync.Mutex // guards the fields below
	entries  map[string]*entry
	queue    queue
	running  int
	lastWarn time.Time
}

// New returns a prober without targets.
func New(cfg Config) *Prober {
	if cfg.MaxConcurrent <= 0 {
		cfg.MaxConcurrent = defaultMaxConcurrent
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Prober{cfg: cfg, check: checker{cfg.Roots}.check, wake: make(chan struct{}, 1), entries: map[string]*entry{}}
}

// SetTargets makes targets the targets. Of two with one ID the last counts. Those that stay at their address keep their
// place in the schedule; the others are checked at once, or, if they are many, spread over a second, of more than 10,000 over more.
func (p *Prober) SetTargets(targets []Target) {
	p.mu.Lock()
	defer p.mu.Unlock()
	old := p.entries
	p.entries = make(map[string]*entry, len(targets))
	var added []*entry
	for _, t := range targets {
		if twin := p.entries[t.ID]; twin != nil {
			twin.target = t
			continue
		}
		e := old[t.ID]
		if e == nil || e.target.Address != t.Address || e.target.Kind != t.Kind {
			e = &entry{index: notQueued}
			added = append(added, e)
		}
		e.target = t
		p.entries[t.ID] = e
	}
	for id, e := range old {
		if p.entries[id] != e {
			p.removeLocked(e)
		}
	}
	for i, e := range added {
		e.due = firstDue(time.Now(), e.target, i, len(added))
		heap.Push(&p.queue, e)
	}
	p.wakeUp()
}

// Kick has a target checked as soon as possible, and once more where a check of it is running: that one may have begun
// before what made the caller ask. It never blocks; an unknown id is passed over.
func (p *Prober) Kick(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.entries[id]
	switch {
	case e == nil:
	case e.index == notQueued:
		e.again = true
	default:
		e.due = time.Time{} // before those that are only late
		heap.Fix(&p.queue, e.index)
		p.wakeUp()
	}
}

// Hurry is Kick for a target that is thought to hang: the check has half of its time, since its requests have waited already.
func (p *Prober) Hurry(id string) {
	p.mu.Lock()
	if e := p.entries[id]; e != nil {
		e.hurry = true
	}
	p.mu.Unlock()
	p.Kick(id)
}

// Run checks the targets until ctx ends, and returns ctx's error when no check runs any more. It may run once at a time.
func (p *Prober) Run(ctx context.Context) error {
	var checks sync.WaitGroup
	defer checks.Wait()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		e, t, wait := p.next(time.Now())
		if e != nil {
			checks.Go(func() { p.run(ctx, e, t) })
			continue
		}
		timer.Reset(wait)
		select {
		case <-ctx.Done():
		case <-p.wake:
		case <-timer.C:
		}
	}
	return ctx.Err()
}

// run makes one check and tells its result.
func (p *Prober) run(ctx context.Context, e *entry, t Target) {
	start := time.Now()
	p.cfg.Tracker.Checking(t.ID, start)
	r := p.check(ctx, t)
	now := time.Now()
	if ctx.Err() != nil || !p.current(e) {
		p.finish(e, now) // the result says nothing, or nobody wants it
		return
	}
	if r.local != nil {
		p.warn(t, r.local, now)
		p.finish(e, now.Add(jitter(retryLocal, 0.1)))
		return
	}
	next := p.tell(t, r, now.Sub(start), now)
	if r.report != nil && p.cfg.Report != nil {
		p.cfg.Report(topology.EdgeID(t.ID[strings.LastIndexByte(t.ID, '/')+1:]), r.report)
	}
	check := t.Check.WithDefaults()
	next = stretched(t.Kind, next, check.Interval.Std(), p.size())
	p.finish(e, start.Add(jitter(next, check.Jitter)))
}

// size returns how many targets there are.
func (p *Prober) size() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.entries)
}

func (p *Prober) tell(t Target, r result, took time.Duration, now time.Time) (next time.Duration) {
	if r.late {
		return p.cfg.Tracker.TimedOut(t.ID, r.reason, took, now)
	}
	return p.cfg.Tracker.Probed(t.ID, r.ok, r.reason, took, now)
}

// Ours: a machine that has run out of descriptors or ports is not helped by more attempts.
const (
	retryLocal = time.Second
	warnEvery  = 10 * time.Second
)

func (p *Prober) warn(t Target, err error, now time.Time) {
	p.mu.Lock()
	silent := now.Sub(p.lastWarn) < warnEvery
	if !silent {
		p.lastWarn = now
	}
	p.mu.Unlock()
	if !silent {
		p.cfg.Logger.Warn("this machine cannot make health checks; verdicts stay as they are", "target", t.ID, "error", err)
	}
}
