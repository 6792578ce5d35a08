// SPDX-License-Identifier: Apache-2.0

package dev

import (
	"context"
	"fmt"
	"os"
	"time"

	"meridian/admin"
	"meridian/topology"
	"meridian/topology/etcd"
)

// bringUp starts everything in order and returns when all of it is ready.
func (s *Supervisor) bringUp(ctx context.Context) (*Running, *control, error) {
	if err := s.plan.writeSpecs(s); err != nil {
		return nil, nil, err
	}
	s.step("etcd on %s", s.plan.EtcdURL())
	if err := s.restart(ctx, "etcd"); err != nil {
		return nil, nil, err
	}
	if err := s.fillEmptyStore(ctx); err != nil {
		return nil, nil, err
	}
	if err := s.startFleet(ctx); err != nil {
		return nil, nil, err
	}
	s.settle(ctx)
	c, err := newControl(s)
	if err != nil {
		return nil, nil, err
	}
	r := s.plan.running(c)
	if err := r.announce(); err != nil {
		c.ln.Close()
		return nil, nil, err
	}
	return r, c, nil
}

func (s *Supervisor) step(format string, args ...any) {
	s.say("  "+format, args...)
}

// fillEmptyStore applies the example topology to a store that holds nothing; one that holds anything is left alone.
func (s *Supervisor) fillEmptyStore(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyPatience)
	defer cancel()
	c, err := etcd.Open(etcd.Config{Endpoints: []string{s.plan.EtcdURL()}})
	if err != nil {
		return err
	}
	defer c.Close()
	set, rev, err := c.Read(ctx)
	if err != nil {
		return err
	}
	if len(set) > 0 {
		s.step("topology: kept, revision %d", rev)
		return nil
	}
	if err := s.noteSettings(); err != nil {
		return err
	}
	res, err := c.Apply(ctx, etcd.Change{Put: s.topology.Sorted(), Author: "edge dev"})
	if err != nil {
		return err
	}
	s.step("topology: the example, revision %d", res.Revision)
	return nil
}

// startFleet starts edges and workers at once, then waits for all of them.
func (s *Supervisor) startFleet(ctx context.Context) error {
	var started []*child
	for _, sp := range s.allSpecs() {
		if sp.kind == "etcd" {
			continue
		}
		c, err := s.start(ctx, sp)
		if err != nil {
			return err
		}
		started = append(started, c)
	}
	for _, c := range started {
		if err := s.awaitReady(ctx, c); err != nil {
			return err
		}
		s.step("%s %s (pid %d)", c.kind, c.name, c.cmd.Process.Pid)
	}
	return nil
}

// settlePatience bounds the wait for the edges to agree; what is kept from an earlier run may not allow it.
const settlePatience = 5 * time.Second

// settle waits until every edge has seen every region serve, so that what is tried right after the ready line works as it
// says. An edge is ready before it has heard of the others.
func (s *Supervisor) settle(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, settlePatience)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !s.settled(ctx) {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (s *Supervisor) settled(ctx context.Context) bool {
	for _, e := range s.plan.Edges {
		st, err := admin.Client{URL: "http://" + e.Admin, Timeout: time.Second}.Status(ctx)
		if err != nil || len(st.Regions) < len(s.plan.Edges) {
			return false
		}
		for _, r := range st.Regions {
			if p, ok := r.Pools["mcp"]; ok && s.plan.Workers > 0 && !p.CanServe {
				return false
			}
		}
	}
	return true
}

// restart starts a child that is not running and waits until it is ready. One that does not get ready, or for which
// nobody waits any more, is left running: a worker becomes ready once etcd is back.
func (s *Supervisor) restart(ctx context.Context, name string) error {
	sp, ok := s.spec(name)
	if !ok {
		return fmt.Errorf("there is no process %q; edge dev ps lists them", name)
	}
	c, err := s.start(ctx, sp)
	if err != nil {
		return err
	}
	return s.awaitReady(ctx, c)
}

// awaitReady waits until a child does its work: etcd answers, an edge says that it is ready or drained, a worker is up in the
// eyes of its region's edge.
func (s *Supervisor) awaitReady(ctx context.Context, c *child) error {
	switch c.kind {
	case "etcd":
		return s.await(ctx, c, s.etcdAnswers)
	case "edge":
		return s.await(ctx, c, func(ctx context.Context) error { return edgeUp(ctx, s.plan.edgeByName(c.name).Admin) })
	}
	return s.await(ctx, c, func(ctx context.Context) error { return s.nodeUp(ctx, c.name) })
}

// edgeUp returns nil once the edge serves. One that is drained is never ready, but it has come up, and a drain outlives a restart.
func edgeUp(ctx context.Context, addr string) error {
	c := admin.Client{URL: "http://" + addr, Timeout: time.Second}
	err := c.Ready(ctx)
	if err == nil {
		return nil
	}
	st, failed := c.Status(ctx)
	if failed != nil {
		return err
	}
	for _, d := range st.Drains {
		if d.Drain != nil && d.Target() == (topology.DrainTarget{Scope: topology.ScopeEdge, Edge: st.Edge}) {
			return nil
		}
	}
	return err
}

func (s *Supervisor) etcdAnswers(ctx context.Context) error {
	c, err := etcd.Open(etcd.Config{Endpoints: []string{s.plan.EtcdURL()}})
	if err != nil {
		return err
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	_, _, err = c.Read(ctx)
	return err
}

// nodeUp asks the edge of the worker's region; where that edge is stopped, the worker counts as up once it runs.
func (s *Supervisor) nodeUp(ctx context.Context, worker string) error {
	e := s.plan.edgeOf(worker)
	st, err := admin.Client{URL: "http://" + e.Admin, Timeout: time.Second}.Status(ctx)
	if err != nil {
		s.mu.Lock()
		edgeRuns := s.children[e.Name] != nil
		s.mu.Unlock()
		if !edgeRuns {
			return nil
		}
		return err
	}
	for _, n := range st.Nodes {
		if n.Name == topology.NodeID(worker) {
			if n.Health == "up" {
				return nil
			}
			return fmt.Errorf("%s sees it as %s: %s", e.Name, n.Health, n.Reason)
		}
	}
	return fmt.Errorf("%s does not know it yet", e.Name)
}

// writeSpecs lays out how each child is started, with the edges' configuration files.
func (p *Plan) writeSpecs(s *Supervisor) error {
	add := func(kind, name, path string, args ...string) {
		s.specs = append(s.specs, spec{name: name, kind: kind, path: path, args: args, log: p.logFile(name)})
	}
	add("etcd", "etcd", s.programs.Edge, "etcd", "--data-dir", p.etcdDir(), "--client-url", p.EtcdURL(), "--peer-url", p.PeerURL())
	for _, e := range p.Edges {
		file, err := p.writeEdgeConfig(e)
		if err != nil {
			return err
		}
		add("edge", e.Name, s.programs.Edge, "serve", "-c", file)
	}
	for _, e := range p.Edges {
		for i, w := range e.Workers {
			add("worker", w, s.programs.Backend, "serve", "--name", w, "--pool", "mcp", "--region", string(e.Region),
				"--zone", zone(e.Region, i), "--listen", e.IP.String()+":0", "--etcd", p.EtcdURL(), "--toolset", p.Toolset)
		}
	}
	return nil
}

// zone spreads workers over two zones, named as clouds name theirs: us-east-1a, us-east-1b.
func zone(r topology.RegionID, i int) string { return string(r) + string(rune('a'+i%2)) }

func (s *Supervisor) allSpecs() []spec {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]spec(nil), s.specs...)
}

func (p *Plan) edgeByName(name string) EdgePlan {
	for _, e := range p.Edges {
		if e.Name == name {
			return e
		}
	}
	return EdgePlan{}
}

// edgeOf returns the edge beside a worker.
func (p *Plan) edgeOf(worker string) EdgePlan {
	for _, e := range p.Edges {
		for _, w := range e.Workers {
			if w == worker {
				return e
			}
		}
	}
	return EdgePlan{}
}

func (p *Plan) running(c *control) *Running {
	r := &Running{PID: os.Getpid(), DataDir: p.DataDir, Started: time.Now(), Etcd: p.EtcdURL(), Control: c.ln.Addr().String(), Token: c.token}
	for _, e := range p.Edges {
		r.Edges = append(r.Edges, RunningEdge{Name: e.Name, Region: string(e.Region), HTTP: e.HTTP, DNS: e.DNS, Admin: "http://" + e.Admin})
	}
	return r
}
