// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"meridian/balancer"
	"meridian/health"
	"meridian/topology"
)

// TestASlowNodeIsEjectedByWhatTheBalancerKnows has five nodes answer, one of them ten times slower, for ten seconds.
func TestASlowNodeIsEjectedByWhatTheBalancerKnows(t *testing.T) {
	set := topology.Set{}
	set.Put(&topology.Region{Name: "a"})
	set.Put(&topology.Pool{Name: "p"})
	set.Put(&topology.Route{Name: "r", Pool: "p"})
	var ids []topology.NodeID
	settings := map[string]health.Settings{}
	for i := range 5 {
		id := topology.NodeID(fmt.Sprintf("n%d", i))
		ids = append(ids, id)
		set.Put(&topology.Node{Name: id, Pool: "p", Region: "a", Address: "127.0.0.1:1"})
		settings[string(id)] = health.Settings{Group: "p/a"}
	}
	snap, mistakes := topology.Build(1, set)
	if snap == nil {
		t.Fatal(mistakes)
	}
	s := &server{table: balancer.NewTable()}
	s.tracker = health.NewTracker(func(id string, v health.Verdict) { s.table.SetStanding(topology.NodeID(id), standing(v.State)) })
	s.table.Apply(snap, []topology.RegionID{"a"})
	s.store.Swap(snap)
	now := time.Unix(1_800_000_000, 0)
	s.tracker.Apply(settings, now)
	for _, id := range ids {
		s.tracker.Probed(string(id), true, "", 0, now)
	}
	for tick := 1; tick <= 100; tick++ {
		now = now.Add(balancer.TickInterval)
		for i, id := range ids {
			latency := 10 * time.Millisecond
			if id == "n3" {
				latency = 100 * time.Millisecond
			}
			answerAt(t, s, ids, id, now, latency, uint64(tick*31+i))
		}
		s.table.Tick(now)
		if tick%everyTicks == 0 {
			s.compare(now)
		}
	}
	for _, id := range ids {
		v := s.tracker.Verdict(string(id))
		if (id == "n3") != (v.State == health.Ejected) {
			t.Errorf("%s: %s: %s", id, v.State, v.Reason)
		}
	}
	if v := s.tracker.Verdict("n3"); !strings.HasPrefix(v.Reason, "slow: ") {
		t.Errorf("got %q", v.Reason)
	}
	if l := s.table.Load("n3"); l.Standing != balancer.StandingEjected {
		t.Errorf("the balancer has it as %s", l.Standing)
	}
}

// answerAt has one node answer one request. The others count as tried.
func answerAt(t *testing.T, s *server, ids []topology.NodeID, id topology.NodeID, now time.Time, latency time.Duration, rnd uint64) {
	t.Helper()
	tried := slices.DeleteFunc(slices.Clone(ids), func(o topology.NodeID) bool { return o == id })
	l, err := s.table.Pick(balancer.Request{Pool: "p", Route: s.table.Route("r"), Tried: tried, Now: now.Add(-latency), Rand: rnd})
	if err != nil {
		return // it is ejected
	}
	l.Answered(now, balancer.Outcome{Kind: balancer.OK})
	l.Done(now)
	s.tracker.Observe(string(id), health.Success, "", now)
}

func TestNodesAreComparedOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var u upkeep
		ticked := 0
		u.init(balancer.NewTable(), func(time.Time) { ticked++ }, func([]topology.NodeID) {})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- u.tick(ctx) }()
		time.Sleep(2500 * time.Millisecond)
		cancel()
		if <-done; ticked != 2 {
			t.Errorf("compared %d times in 2.5 s", ticked)
		}
	})
}

func TestEveryStateHasAStanding(t *testing.T) {
	for state, want := range map[health.State]balancer.Standing{
		health.Unknown: balancer.StandingUnknown, health.Up: balancer.StandingUp, health.Suspect: balancer.StandingUp, health.HalfOpen: balancer.StandingUp,
		health.Down: balancer.StandingDown, health.Ejected: balancer.StandingEjected, health.Refused: balancer.StandingRefused,
	} {
		if got := standing(state); got != want {
			t.Errorf("%s: got %s, want %s", state, got, want)
		}
	}
}
