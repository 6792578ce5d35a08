// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strconv"
	"time"

	"meridian/balancer"
	"meridian/balancer/sim"
	"meridian/health"
)

// checks is health.Tracker as the edge wires it, for one edge of a run.
type checks struct {
	tracker *health.Tracker
	ids     []string
	targets map[string]health.Settings
}

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// newChecks implements sim.NewChecks with a pool's defaults.
func newChecks(nodes int, changed func(node int, s balancer.Standing)) sim.Checks {
	c := &checks{targets: map[string]health.Settings{}}
	index := map[string]int{}
	for i := range nodes {
		id := strconv.Itoa(i)
		c.ids = append(c.ids, id)
		index[id] = i
	}
	c.tracker = health.NewTracker(func(id string, v health.Verdict) { changed(index[id], standing(v.State)) })
	return c
}

// standing is what the edge tells the balancer of a verdict.
func standing(s health.State) balancer.Standing {
	switch {
	case s == health.Unknown:
		return balancer.StandingUnknown
	case s.CanPick():
		return balancer.StandingUp
	}
	return balancer.StandingDown
}

// Target implements sim.Checks.
func (c *checks) Target(node int, now time.Duration) {
	c.targets[c.ids[node]] = health.Settings{Group: "pool/region"}
	c.tracker.Apply(c.targets, epoch.Add(now))
}

// Checked implements sim.Checks.
func (c *checks) Checked(node int, ok bool, now time.Duration) time.Duration {
	reason := ""
	if !ok {
		reason = "no answer"
	}
	return c.tracker.Probed(c.ids[node], ok, reason, 0, epoch.Add(now))
}

// outcomes are what the proxy reports for each end of a try.
var outcomes = [...]health.Outcome{
	sim.OK: health.Success, sim.Failed: health.GatewayError, sim.Refused: health.ConnectFailed, sim.TimedOut: health.GatewayError,
}

// Observe implements sim.Checks.
func (c *checks) Observe(node int, o sim.Outcome, now time.Duration) bool {
	return c.tracker.Observe(c.ids[node], outcomes[o], "", epoch.Add(now))
}
