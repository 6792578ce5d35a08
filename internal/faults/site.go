// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"
)

// site is one proxy with its nodes, for one fault.
type site struct {
	dir   string
	fault *fault
	nodes []*backend
	proxy *proxy
	cell  *cell // nil: the nodes are on loopback
	times times
}

// programs are what sites are made of.
type programs struct {
	self string // this program, which also is the nodes
	edge string
}

// build starts nodes and proxy.
func build(ctx context.Context, p programs, f *fault, kind string, t times) (s *site, err error) {
	dir, err := os.MkdirTemp("", "meridian-faults-")
	if err != nil {
		return nil, err
	}
	s = &site{dir: dir, fault: f, times: t}
	defer func() {
		if err != nil {
			s.end()
		}
	}()
	for i := range f.nodes {
		s.nodes = append(s.nodes, newBackend(p.self, dir, fmt.Sprintf("n%d", i+1), f.flags...))
	}
	if f.apart {
		if s.cell, err = openCell(s.nodes[0]); err != nil {
			return s, err
		}
	}
	for _, n := range s.nodes {
		if err := n.start(); err != nil {
			return s, err
		}
	}
	if s.proxy, err = startProxy(s, p, kind); err != nil {
		return s, err
	}
	if f.Leases {
		for _, n := range s.nodes {
			if err := n.register(s.proxy.store); err != nil {
				return s, err
			}
		}
	}
	return s, s.ready(ctx)
}

// ready waits until requests are answered, by every node.
func (s *site) ready(ctx context.Context) error {
	c := &clients{addr: s.proxy.addr, timeout: s.times.Client}
	defer c.close()
	row := 0
	for late := time.Now().Add(awaited); row < 3*len(s.nodes); {
		v, status := c.ask(ctx, 0, false)
		if row++; v != well {
			row = 0
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(20 * time.Millisecond):
			}
		}
		if time.Now().After(late) {
			return fmt.Errorf("%s answers with %d, %s:%s", s.proxy.kind, status, v, s.proxy.proc.tail())
		}
	}
	return nil
}

// end ends all that was started.
func (s *site) end() {
	if s.proxy != nil {
		s.proxy.end()
	}
	for _, n := range s.nodes {
		n.end()
	}
	if s.cell != nil {
		s.cell.close()
	}
	os.RemoveAll(s.dir)
}

// executions reads all journals.
func (s *site) executions() (map[uint64]executions, error) {
	all := map[uint64]executions{}
	for _, n := range s.nodes {
		if err := readJournal(n.journal, n.name, all); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
	}
	return all, nil
}

// path returns a file's in the site's directory.
func (s *site) path(name string) string { return filepath.Join(s.dir, name) }

// run is one load on a site, during which a fault is injected.
type run struct {
	*site
	ctx    context.Context // ends when the load does
	random *rand.Rand
	start  time.Time
	length time.Duration
	spells []spell
	notes  []string // what a fault found wrong by itself
	large  bool     // at full size
}

// spell is a time for which something was broken.
type spell struct {
	node     string
	from, to time.Duration
	whole    time.Duration // from when on all is broken that is to be, where that takes a while
	// lapsed is when leases were seen to have ended, and returned when all was well again after it was mended.
	lapsed, returned time.Duration
}

// now returns the time since the load began.
func (r *run) now() time.Duration { return time.Since(r.start) }

// wait waits between from and to, drawn, and reports whether the load lasts.
func (r *run) wait(from, to time.Duration) bool {
	d := from
	if to > from {
		d += time.Duration(r.random.Int64N(int64(to - from)))
	}
	select {
	case <-r.ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// left reports whether the load lasts for so long still.
func (r *run) left(d time.Duration) bool { return r.now()+d < r.length && r.ctx.Err() == nil }

// breaks notes that a node is broken from now on, and mends that it is not any more.
func (r *run) breaks(n *backend) {
	r.spells = append(r.spells, spell{node: n.name, from: r.now(), to: r.length})
}
func (r *run) mends() { r.spells[len(r.spells)-1].to = r.now() }

// any draws a node.
func (r *run) any() *backend { return r.nodes[r.random.IntN(len(r.nodes))] }
