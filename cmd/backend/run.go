// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"time"

	"meridian/backend"
	"meridian/geo"
	"meridian/topology"
	"meridian/topology/etcd"
)

// leaseTTL is after how long without a sign of life etcd drops a killed worker. Ours; edges find it sooner by their checks.
const leaseTTL = 5 * time.Second

// firstSnapshot bounds the wait for the topology at the start, for the check of the name. Without etcd the worker goes on:
// it serves, and registers when etcd is there.
const firstSnapshot = 2 * time.Second

// options are the flags of serve.
type options struct {
	name, pool, region, zone string
	listen, advertise        string
	etcd                     []string
	connections, sessions    int
	rps                      float64
	labels                   map[string]string
	toolset                  string
	grace, deadline          time.Duration
	level                    slog.Level
	tied                     bool
}

// run serves until ctx is done or the parent, if tied, is gone.
func (o options) run(ctx context.Context, stdout, stderr io.Writer) error {
	if o.tied {
		pipe, err := parentPipe()
		if err != nil {
			return err
		}
		var stop func()
		ctx, stop = withParent(ctx, pipe)
		defer stop()
	}
	log := slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: o.level}))
	if len(o.etcd) == 0 {
		return o.serveAlone(ctx, stdout, log)
	}
	return o.serveRegistered(ctx, stdout, log)
}

func (o options) config(log *slog.Logger) backend.Config {
	grace := o.grace
	if grace == 0 {
		grace = -1 // none, which is what a zero on the command line says
	}
	return backend.Config{
		Name: topology.NodeID(o.name), Pool: topology.PoolID(o.pool), Region: topology.RegionID(o.region), Zone: o.zone,
		Version: version, Listen: o.listen, Toolset: backend.Toolset(o.toolset), Logger: log,
		Capacity:    topology.Capacity{Connections: o.connections, RPS: o.rps},
		MaxSessions: o.sessions, Grace: grace, ShutdownDeadline: o.deadline,
		Locate: func(a netip.Addr) geo.Place { return geo.Embedded().Locate(a) }, // decoded at the first question
	}
}

func (o options) serveAlone(ctx context.Context, stdout io.Writer, log *slog.Logger) error {
	w, err := o.listening(o.config(log), stdout)
	if err != nil {
		return err
	}
	return ended(w.Run(ctx))
}

// listening makes the worker, binds its address and says so.
func (o options) listening(cfg backend.Config, stdout io.Writer) (*backend.Worker, error) {
	w, err := backend.New(cfg)
	if err != nil {
		return nil, misuse{err}
	}
	if err := w.Listen(); err != nil {
		return nil, err
	}
	if _, err := fmt.Fprintf(stdout, "listening http://%s/mcp\n", w.Addr()); err != nil {
		return nil, errors.Join(fmt.Errorf("print the address: %w", err), w.Close())
	}
	return w, nil
}

// ended makes the end that was asked for no error.
func ended(err error) error {
	if errors.Is(err, context.Canceled) && !errors.Is(err, backend.ErrCut) {
		return nil
	}
	return err
}

// serveRegistered serves as a node of the fleet. The order of the end is that of the defers, last first: the worker's
// own, then the registration, then the watch.
func (o options) serveRegistered(ctx context.Context, stdout io.Writer, log *slog.Logger) error {
	if err := o.check(); err != nil {
		return err
	}
	c, err := etcd.Open(etcd.Config{Endpoints: o.etcd, Logger: log})
	if err != nil {
		return misuse{err}
	}
	defer c.Close()
	seen := newSeen()
	defer running(c.Watcher(etcd.WatcherConfig{Publish: seen.publish}).Run, "watch the topology", log)()
	seen.first(ctx, firstSnapshot)
	if err := checkName(ctx, seen.store.Load(), topology.NodeID(o.name)); err != nil {
		return err
	}
	cfg, me := o.config(log), &self{}
	cfg.Snapshot = seen.store.Load
	var reg *etcd.Registrar
	cfg.Leave = func(ctx context.Context) {
		me.leave()
		reg.Touch()
		if reg.Registered() {
			seen.until(ctx, func(s *topology.Snapshot) bool { n := s.Node(me.node.Name); return n == nil || n.Leaving })
		}
	}
	w, err := o.listening(cfg, stdout)
	if err != nil {
		return err
	}
	if me.node, err = o.node(w.Addr().String()); err != nil {
		return errors.Join(err, w.Close())
	}
	me.report(w.Load())
	reg = c.Registrar(etcd.RegistrarConfig{Key: me.node.Key(), TTL: leaseTTL, Value: me.value, MinInterval: reportEvery})
	defer running(reg.Run, "register", log)()
	defer running(func(ctx context.Context) error { me.reportLoad(ctx, w.Load, reg.Touch); return nil }, "report the load", log)()
	return ended(w.Run(ctx))
}

// running runs f until stop is called, which waits for its end. A fault is logged: the worker serves without.
func running(f func(context.Context) error, what string, log *slog.Logger) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := f(ctx); err != nil && ctx.Err() == nil {
			log.Error(what, "err", err)
		}
	})
	return func() { cancel(); wg.Wait() }
}

// check says what is missing before anything is opened.
func (o options) check() error {
	switch {
	case o.name == "":
		return misusef("--name is needed with --etcd: the node's name, unique in the fleet")
	case o.region == "":
		return misusef("--region is needed with --etcd: the region the worker runs in")
	}
	_, err := o.node("127.0.0.1:1") // for everything but the address, which is known only later
	return err
}

// node is what is registered. address is where the worker listens.
func (o options) node(address string) (topology.Node, error) {
	if o.advertise != "" {
		address = o.advertise
	}
	n := topology.Node{
		Name: topology.NodeID(o.name), Pool: topology.PoolID(o.pool), Region: topology.RegionID(o.region), Zone: o.zone, Address: address,
		Capacity: topology.Capacity{Connections: o.connections, RPS: o.rps}, Labels: o.labels,
	}
	var wrong []string
	for _, m := range topology.Check(&n) {
		flag := "--" + strings.ReplaceAll(m.Field, ".", "-")
		if m.Field == "address" {
			flag = "--advertise"
		}
		wrong = append(wrong, flag+": "+m.Message)
	}
	if len(wrong) > 0 {
		return n, misusef("%s", strings.Join(wrong, "; "))
	}
	return n, nil
}
