// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"time"

	"meridian/admin"
)

// paused is F12 for one: a node and what registers it stop for longer than the lease lasts, as a machine that is paused does, and go on.
var paused = &fault{
	id: "F12a", title: "a node and its registration stop for longer than the lease of 2 s", nodes: 3, Etcd: true, Leases: true, alone: true, least: 12 * time.Second,
	inject: func(r *run) error {
		for r.wait(500*time.Millisecond, 1500*time.Millisecond) && r.left(9*time.Second) {
			n := r.any()
			r.breaks(n)
			if err := r.lapse(leaseTTL+2*time.Second, []*backend{n}, []*process{n.proc, n.agent}); err != nil {
				return err
			}
			r.wait(2*time.Second, 2*time.Second)
		}
		return nil
	},
	// That it is picked again is told and not judged: where a request was there for all the time, and not given up, the node counts as slow.
	judge: func(o *outcome) []string {
		wrong := repeatableHold(o)
		for _, s := range o.spells {
			if n := o.picked(s.node, s.from+leaseTTL+time.Second, s.to-slack); n > 0 {
				wrong = append(wrong, fmt.Sprintf("%d requests went to %s later than a second after its lease had to end", n, s.node))
			}
		}
		return wrong
	},
	more: leasesSaid,
}

// vanished is F12 for all: what registers the nodes stops, while they serve. All leases end at once, and what is held is held for longer than
// one that ends by itself.
var vanished = &fault{
	id: "F12b", title: "all leases end at once, for 18 s, while the nodes serve", nodes: 3, Etcd: true, Leases: true, alone: true, least: 22 * time.Second,
	inject: func(r *run) error {
		for r.wait(500*time.Millisecond, 1000*time.Millisecond) && r.left(20*time.Second) {
			var agents []*process
			for _, n := range r.nodes {
				agents = append(agents, n.agent)
			}
			r.breaks(r.nodes[0])
			if err := r.lapse(leaseTTL+usualHold+time.Second, r.nodes, agents); err != nil {
				return err
			}
		}
		return nil
	},
	judge: func(o *outcome) []string {
		wrong := none(o)
		for _, s := range o.spells {
			for _, node := range o.nodes {
				if o.picked(node, s.to-time.Second, s.to) == 0 {
					wrong = append(wrong, node+" was not picked any more when no lease was left")
				}
			}
		}
		return wrong
	},
	more: leasesSaid,
}

// usualHold is how long an edge keeps one that lost its lease: topology/etcd's default.
const usualHold = 15 * time.Second

// lapse stops processes for at least so long and until the edge says that the leases of all these nodes have ended, lets them go on, and
// returns when all have new ones and the edge says that they are up.
func (r *run) lapse(d time.Duration, nodes []*backend, stop []*process) error {
	var before []int
	for _, n := range nodes {
		lines, _ := n.agent.printed(0)
		before = append(before, len(lines))
	}
	if err := signalAll(stop, syscall.SIGSTOP); err != nil {
		return err
	}
	held, err := r.held(len(nodes), d)
	err = errors.Join(err, signalAll(stop, syscall.SIGCONT))
	r.mends()
	if err != nil {
		return err
	}
	r.note(held.Held != len(nodes), "at the end of the time %d leases were held; want %d", held.Held, len(nodes))
	all := len(nodes) == len(r.nodes)
	r.note(all != (held.Alarm != ""), "with %d leases of %d gone the alarm is %q", len(nodes), len(r.nodes), held.Alarm)
	for i, n := range nodes {
		if err := n.anew(before[i]); err != nil {
			return err
		}
	}
	return r.whole()
}

func signalAll(ps []*process, sig syscall.Signal) error {
	var errs []error
	for _, p := range ps {
		errs = append(errs, p.signal(sig))
	}
	return errors.Join(errs...)
}

// held waits until the edge holds so many nodes without a lease, and until so long after the fault, and returns what it says then.
func (r *run) held(leases int, d time.Duration) (admin.TopologyStatus, error) {
	st, err := r.seen(func(st *admin.Status) bool { return st.Topology.Held == leases })
	if err != nil {
		return st.Topology, err
	}
	s := &r.spells[len(r.spells)-1]
	s.lapsed = r.now()
	left := s.from + d - s.lapsed
	r.wait(left, left)
	st, err = r.status()
	return st.Topology, err
}

// whole waits until the edge holds no node, and all are up.
func (r *run) whole() error {
	_, err := r.seen(func(st *admin.Status) bool {
		up := 0
		for _, n := range st.Nodes {
			if n.Health == "up" {
				up++
			}
		}
		return st.Topology.Held == 0 && up == len(r.nodes)
	})
	r.spells[len(r.spells)-1].returned = r.now()
	return err
}

// seen waits until the edge's status is as wanted, and returns it.
func (r *run) seen(wanted func(*admin.Status) bool) (*admin.Status, error) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for late := time.Now().Add(awaited); ; <-tick.C {
		st, err := r.status()
		if err != nil || wanted(st) {
			return st, err
		}
		if time.Now().After(late) {
			return st, fmt.Errorf("the edge's status is not what was expected: %+v", st.Topology)
		}
	}
}

// statuses bounds the questions for a status.
var statuses = &http.Client{Timeout: awaited, Transport: &http.Transport{DisableKeepAlives: true}}

// status asks the edge for its status.
func (r *run) status() (*admin.Status, error) {
	st := &admin.Status{}
	resp, err := statuses.Get("http://" + r.proxy.admin + "/api/v1/status")
	if err != nil {
		return st, fmt.Errorf("the edge's status: %w", err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(st); err != nil {
		return st, fmt.Errorf("the edge's status (%s): %w", resp.Status, err)
	}
	return st, nil
}

// leasesSaid tells the times of leases, the longest of all.
func leasesSaid(all []*outcome) string {
	var lapsed, returned, last time.Duration
	after := 0
	for _, o := range all {
		for _, s := range o.spells {
			after += o.picked(s.node, s.to, o.length)
			lapsed, returned = max(lapsed, s.lapsed-s.from), max(returned, s.returned-s.to)
			for i := range o.requests {
				if r := &o.requests[i]; r.due >= s.from && r.due < s.to && slices.Contains(r.on, s.node) {
					last = max(last, r.due-s.from)
				}
			}
		}
	}
	said := []string{fmt.Sprintf("leases seen to have ended after %s", ms(lapsed)), fmt.Sprintf("last request sent to the first of them after %s", ms(last)),
		fmt.Sprintf("under new leases and up %s after they went on", ms(returned)),
		fmt.Sprintf("%d requests sent there from then on", after)}
	return strings.Join(said, "; ")
}
