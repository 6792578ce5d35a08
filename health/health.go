// SPDX-License-Identifier: Apache-2.0

// Package health gives the verdict on nodes and edges: up, suspect, refused, down, ejected or half-open, from the results of checks
// and the outcomes of requests. It also says from the verdicts which regions can serve a pool (CanServe).
//
// It has no clock (now is an argument), no goroutine and does no I/O: health/probe runs the checks, proxy reports the
// outcomes, and who is told of a change (the balancer, the metrics) is wired by cmd.
//
//	t := health.NewTracker(func(id string, v health.Verdict) { … })
//	t.Apply(map[string]health.Settings{"mcp-1": health.SettingsOf(pool)}, now)
//	t.Checking("mcp-1", now)                                      // a check begins
//	next := t.Probed("mcp-1", ok, reason, latency, now)          // check again after next
//	next = t.TimedOut("mcp-1", reason, latency, now)             // where all that failed was the time
//	if t.Observe("mcp-1", health.ConnectFailed, reason, now) {}   // true: check now
//
// Why: a check finds a node that is dead or hangs, an outcome finds one that passes its checks and fails its requests, and
// finds it sooner.
//
// Trips when: Fall checks in a row fail, or one right after a connection failed or the target stalled: Down. A connection fails: Refused until a check has
// decided, as long as another node of the group can be picked. A check that timed out doesn't count where requests that began after it
// were answered (TimedOut): on a starved machine checks are late while the node serves. Ejected for a ban, but never the last node of its group that can be
// picked nor more than a tenth of the group, or one: ConsecutiveErrors gateway errors in a row; half of at least 20 requests of ten
// seconds failed; a success rate far below the group's, or answers far slower than the tier's (Compare).
//
// Recovers when: Rise checks in a row pass; not before it has been down for two intervals, then four and so on, where it went down
// again within a ban's time of coming back while others of its group can be picked. A ban is sat out even if checks pass; a check that
// passes after it makes the target HalfOpen, and the outcome of its next request decides (the balancer gives it one at a time until then). Bans
// double while they follow closely on each other, with a fifth of jitter.
//
// First start: Unknown until the first check, which alone decides.
package health

import (
	"slices"
	"time"

	"meridian/topology"
)

// State is how a target stands.
type State uint8

// The states.
const (
	Unknown  State = iota // not yet checked
	Up                    // the last check passed
	Suspect               // still picked, but the last check or the last connection failed
	Down                  // checks fail
	Ejected               // requests failed; a ban is running, or is over and no check has passed since
	HalfOpen              // the ban is over and a check has passed; the outcome of one request decides, or Rise checks
	Refused               // a connection failed, and others can be picked: out until a check has decided
)

var stateNames = [...]string{"unknown", "up", "suspect", "down", "ejected", "half-open", "refused"}

// String returns the state in lower case, as in "half-open".
func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return "unknown"
}

// MarshalText implements encoding.TextMarshaler.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler. A word that it doesn't know, of a newer edge, is Unknown.
func (s *State) UnmarshalText(b []byte) error {
	*s = State(max(0, slices.Index(stateNames[:], string(b))))
	return nil
}

// CanPick reports whether a target in the state gets requests: Up, Suspect and HalfOpen do.
func (s State) CanPick() bool { return s == Up || s == Suspect || s == HalfOpen }

// MaxBan is up to where bans double. Ours, after Envoy's max_ejection_time. A Settings.Ban above it is used as it is.
const MaxBan = 300 * time.Second

// Settings say when the verdict on a target changes. Zero fields have the defaults of topology.HealthCheck and
// topology.Passive.
type Settings struct {
	// Group names the targets of which the last that can be picked is never ejected, as in "mcp/eu-central-1": a pool's
	// nodes in one region; that at most a tenth of them, or one, is ejected at once; and that are compared with each other. Empty: the
	// target may always be ejected, and is compared with none. Checks take no notice of groups.
	Group string
	// Rise is how many checks in a row must pass for a target that is Down. Zero: 2.
	Rise int
	// Fall is how many checks in a row must fail for a target that is Up. Zero: 2.
	Fall int
	// Interval is the time between two checks. Zero: 1s.
	Interval time.Duration
	// FastInterval is the time between two checks while the target is between two verdicts. Zero: Interval/4, at least 50ms,
	// at most Interval.
	FastInterval time.Duration
	// Rarely is the time between two checks of a target that others check, whose verdict Told takes in: while there is no doubt of its
	// own, it is checked no more often. Zero: it is checked here.
	Rarely time.Duration
	// ConsecutiveErrors is how many gateway errors in a row eject a target. Zero: 5.
	ConsecutiveErrors int
	// Ban is how long the first ejection lasts. Zero: 10s.
	Ban time.Duration
	// MaxFails is how many failed requests and connections within FailTimeout eject a target for FailTimeout, as in nginx: successes
	// between them don't count, every ban is as long, and neither ConsecutiveErrors, Ban, rates nor comparisons do anything. Zero: not so.
	MaxFails int
	// FailTimeout is meaningless without MaxFails. Zero: 10s.
	FailTimeout time.Duration
}

// SettingsOf returns what a pool says of its nodes, without Group.
func SettingsOf(p *topology.Pool) Settings {
	h, o := p.HealthCheck.WithDefaults(), p.Passive.WithDefaults()
	return Settings{
		Rise: h.Rise, Fall: h.Fall, Interval: h.Interval.Std(), FastInterval: h.FastInterval.Std(),
		ConsecutiveErrors: o.ConsecutiveErrors, Ban: o.Ban.Std(), MaxFails: o.MaxFails, FailTimeout: o.FailTimeout.Std(),
	}
}

// withDefaults returns s with every field that is zero or below replaced by its default.
func (s Settings) withDefaults() Settings {
	d := SettingsOf(&topology.Pool{HealthCheck: topology.HealthCheck{
		Rise: max(0, s.Rise), Fall: max(0, s.Fall),
		Interval: topology.Duration(max(0, s.Interval)), FastInterval: topology.Duration(max(0, s.FastInterval)),
	}, Passive: topology.Passive{
		ConsecutiveErrors: max(0, s.ConsecutiveErrors), Ban: topology.Duration(max(0, s.Ban)),
	}})
	d.Group, d.Rarely = s.Group, max(0, s.Rarely)
	if s.MaxFails > 0 {
		d.MaxFails, d.FailTimeout = s.MaxFails, topology.Duration(max(0, s.FailTimeout)).Or(10*time.Second)
	}
	return d
}

// Outcome is how a request to a target ended, as far as the target is to be judged by it.
type Outcome uint8

// The outcomes.
const (
	// Success is any answer of the target's own, a 500 too.
	Success Outcome = iota
	// GatewayError is no answer, a broken answer, 502, 503 or 504.
	GatewayError
	// ConnectFailed is a connection that was refused, reset or timed out before anything was sent.
	ConnectFailed
	// ClientGone is a request that the client ended: it says nothing of the target.
	ClientGone
	// Stalled is no request's end: requests wait at the target, and for many times as long as they usually take nothing has come back.
	Stalled
)

// Verdict is what is known of one target.
type Verdict struct {
	State State `json:"state"`
	// Since is when State last changed, by the clock of the caller.
	Since time.Time `json:"since"`
	// Reason is what made it so, for people.
	Reason string `json:"reason,omitempty"`
	// Latency is that of the last check.
	Latency time.Duration `json:"latency_ns,omitempty"`
	// Checks and Failures count the checks, and those of them that failed.
	Checks   uint64 `json:"checks"`
	Failures uint64 `json:"failures"`
	// Refuted counts those of Failures that requests refuted (Tracker.TimedOut).
	Refuted uint64 `json:"refuted,omitempty"`
	// BanUntil is when the last ban ends or has ended. Zero: there was none.
	BanUntil time.Time `json:"ban_until,omitzero"`
	// LastCheck is when the last check ended. Zero: there was none.
	LastCheck time.Time `json:"last_check,omitzero"`
}

// CanPick reports whether the target gets requests.
func (v Verdict) CanPick() bool { return v.State.CanPick() }

// Brief returns the state with its reason, as in "down: connect refused", which CanServe reads in reports.
func (v Verdict) Brief() string {
	if v.Reason == "" {
		return v.State.String()
	}
	return v.State.String() + ": " + v.Reason
}
