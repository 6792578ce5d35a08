// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"time"

	"meridian/admin"
	"meridian/config"
	"meridian/topology"
	"meridian/topology/etcd"
	"meridian/topology/file"
)

// source is where the topology comes from.
type source interface {
	// run follows the source until ctx ends.
	run(ctx context.Context) error
	status() admin.TopologyStatus
	refused() []topology.Refusal
	// touch says that what this edge tells the others has changed.
	touch()
	writeMetrics(w io.Writer)
	close()
}

// presence is what an edge tells the others about itself.
type presence struct {
	value func() []byte
	acks  func() []topology.Ack
}

// etcdSource follows etcd and registers the edge there.
type etcdSource struct {
	client    *etcd.Client
	watcher   *etcd.Watcher
	registrar *etcd.Registrar
}

// edgeMinInterval is the least time between two publications of an edge. Ours: what an edge says decides where others
// send clients, so it must be out well within the three seconds in which DNS follows a failure.
const edgeMinInterval = 100 * time.Millisecond

func newEtcdSource(cfg *config.Edge, log *slog.Logger, publish func(*topology.Snapshot), down func(topology.Resource) bool, p presence) (*etcdSource, error) {
	c, err := etcd.Open(etcd.Config{Endpoints: cfg.Etcd.Endpoints, Dir: cfg.DataDir, Logger: log})
	if err != nil {
		return nil, err
	}
	return &etcdSource{
		client:  c,
		watcher: c.Watcher(etcd.WatcherConfig{Publish: publish, Down: down}),
		registrar: c.Registrar(etcd.RegistrarConfig{
			Key: topology.Key{Kind: topology.KindEdge, Name: string(cfg.Name)}, Value: p.value, Acks: p.acks, MinInterval: edgeMinInterval,
		}),
	}, nil
}

func (s *etcdSource) run(ctx context.Context) error {
	return together(ctx, s.watcher.Run, s.registrar.Run)
}

func (s *etcdSource) status() admin.TopologyStatus {
	st := s.watcher.Status()
	out := admin.TopologyStatus{Source: "etcd", Revision: st.Revision, Stale: st.Stale, Since: st.Since, LastContact: st.LastContact}
	if st.FromDisk {
		out.Source = "the last good topology on disk"
	}
	if st.Stale {
		out.Detail = "etcd does not answer; the last good topology is in use"
	}
	out.Held, out.Alarm = st.Held, st.Mass
	return out
}

func (s *etcdSource) refused() []topology.Refusal { return orNone(s.watcher.Status().Refused) }
func (s *etcdSource) touch()                      { s.registrar.Touch() }
func (s *etcdSource) writeMetrics(w io.Writer)    { s.watcher.WritePrometheus(w) }
func (s *etcdSource) close()                      { s.client.Close() }

func orNone(r []topology.Refusal) []topology.Refusal {
	if r == nil {
		return []topology.Refusal{}
	}
	return r
}

// fileSource follows a topology file. The edge registers nowhere: other edges are what the file says.
type fileSource struct {
	*file.Source
	path string
}

func newFileSource(cfg *config.Edge, log *slog.Logger, publish func(*topology.Snapshot)) *fileSource {
	return &fileSource{file.New(file.Config{Path: cfg.TopologyFile, Publish: publish, Logger: log}), cfg.TopologyFile}
}

// run follows the file; Load has read it once.
func (s *fileSource) run(ctx context.Context) error { return s.Run(ctx) }

func (s *fileSource) status() admin.TopologyStatus {
	st := s.Status()
	out := admin.TopologyStatus{Source: "file " + s.path, Revision: st.Revision, Stale: st.Fault != nil, Since: st.Since}
	if st.Fault != nil {
		out.Detail = oneLine(st.Fault.Error())
	}
	return out
}

func (s *fileSource) refused() []topology.Refusal { return []topology.Refusal{} }
func (s *fileSource) touch()                      {}
func (s *fileSource) close()                      {}

func (s *fileSource) writeMetrics(w io.Writer) {
	st := s.Status()
	fmt.Fprintf(w, "meridian_topology_revision %d\nmeridian_topology_connected %v\n", st.Revision, truth(st.Fault == nil))
}
