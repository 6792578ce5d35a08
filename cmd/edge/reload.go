// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"os/signal"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"meridian/config"
	"meridian/geo"
	"meridian/geo/mmdb"
	"meridian/topology"
)

// reread reads an edge's configuration again, for an edge that runs by old.
type reread func(old *config.Edge) (*config.Edge, []config.Problem)

// reload puts the configuration file in force as it is now, whole or not at all: what changed, or every mistake. Everything
// that can fail is done first, and undone if any of it fails.
func (s *server) reload() (changed, mistakes []string) {
	s.reloading.Lock()
	defer s.reloading.Unlock()
	next, problems := s.reread(s.current)
	for _, p := range problems {
		mistakes = append(mistakes, oneLine(p.Error()))
	}
	if len(mistakes) > 0 {
		return nil, mistakes
	}
	commits, mistakes := s.prepare(next)
	if len(mistakes) > 0 {
		return nil, mistakes
	}
	for _, commit := range commits {
		commit()
	}
	changed = config.Changes(s.current, next)
	s.current = next
	return changed, nil
}

// prepare does of a change all that can fail, and returns what puts it in force, or every mistake.
func (s *server) prepare(next *config.Edge) (commits []func(), mistakes []string) {
	var aborts []func()
	add := func(commit, abort func(), err error) {
		if err != nil {
			mistakes = append(mistakes, oneLine(err.Error()))
			return
		}
		commits, aborts = append(commits, commit), append(aborts, abort)
	}
	add(s.access.prepare(next.AccessLog))
	certificates, err := s.tls.Prepare(pairsOf(next.HTTPS))
	add(certificates, func() {}, err)
	change, err := s.proxy.Prepare(s.proxyConfig(next))
	if err == nil {
		add(change.Commit, change.Abort, nil)
	} else {
		add(nil, nil, err)
	}
	add(s.prepareGeo(next.Geo.Database, len(mistakes) == 0))
	if len(mistakes) > 0 {
		for _, abort := range aborts {
			abort()
		}
		return nil, mistakes
	}
	return append(commits, func() { s.follow(next) }), nil
}

// follow puts in force what can't fail.
func (s *server) follow(next *config.Edge) {
	s.sessions.Resize(next.MCP.MaxSessions, next.MCP.SessionIdle.Std())
	if l, err := levelOf(next.Log.Level); err == nil { // invariant: the configuration was validated
		s.level.Set(l)
	}
	self := *next.Resource()
	self.Started = s.started
	s.fleet.told.Store(&self)
	s.fleet.kick()
	s.source.touch()
}

// prepareGeo opens another database, or the same one anew: its file may have been exchanged. Unless use is set, the change is
// not going to happen, and this only looks for mistakes.
func (s *server) prepareGeo(path string, use bool) (commit, abort func(), err error) {
	none := func() {}
	switch {
	case path == "":
		return func() { s.places.use(geo.Embedded()); s.database = nil }, none, nil
	case use && s.database != nil && path == s.current.Geo.Database:
		// Readers see the new data at once: that is why this is the last thing that is prepared.
		return none, none, s.database.Reload(path)
	}
	db, err := mmdb.Open(path)
	if err != nil {
		return nil, nil, err
	}
	return func() { s.places.use(db); s.database = db }, none, nil
}

// places is a geo.Locator that can be exchanged.
type places struct{ in atomic.Pointer[geo.Locator] }

func (p *places) use(l geo.Locator) { p.in.Store(&l) }

// Locate implements geo.Locator.
func (p *places) Locate(a netip.Addr) geo.Place { return (*p.in.Load()).Locate(a) }

// watchSignals reloads on SIGHUP, certificates included, and opens the access log anew, as log rotation asks.
func (s *server) watchSignals(ctx context.Context) error {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-hup:
			s.reloadAndLog()
			s.reloading.Lock()
			err := s.access.reopen()
			s.reloading.Unlock()
			if err != nil {
				s.log.Error("the access log could not be opened anew; the old file stays in use", "error", err)
			}
		}
	}
}

// reloadAndLog is reload for whoever only has the log to read.
func (s *server) reloadAndLog() (changed, mistakes []string) {
	began := time.Now()
	changed, mistakes = s.reload()
	if len(mistakes) > 0 {
		for _, m := range mistakes {
			s.log.Error("the configuration was not reloaded", "mistake", m)
		}
		return changed, mistakes
	}
	s.log.Info("the configuration was reloaded", "changed", strings.Join(changed, " "), "took", time.Since(began).Round(time.Millisecond).String())
	return changed, nil
}

func levelOf(s string) (l slog.Level, err error) {
	if err := l.UnmarshalText([]byte(s)); err != nil {
		return 0, fmt.Errorf("log.level %q: %w", s, err)
	}
	return l, nil
}

// me is what the edge tells others of itself.
func (f *fleet) me() topology.Edge { return *f.told.Load() }
