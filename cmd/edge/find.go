// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"

	"meridian/admin"
	"meridian/cmd/edge/dev"
	"meridian/topology/etcd"
)

// Where an edge and an etcd are by default.
const (
	defaultAdmin = "http://127.0.0.1:9090"
	defaultEtcd  = "http://127.0.0.1:2379"
)

// running returns the edge dev that was started last, or nil, and says which it is where there are several.
func (o *options) running() *dev.Running {
	r := dev.Find("")
	if n := dev.Count(); r != nil && n > 1 && o.stderr != nil {
		fmt.Fprintf(o.stderr, "edge: note: %d fleets of edge dev are running; this is about the one in %s (choose another with --admin and --etcd)\n", n, r.DataDir)
	}
	return r
}

// adminClient returns a client of the edge that --admin names, else of the running edge dev.
func (o *options) adminClient() admin.Client {
	url := o.admin
	if url == "" {
		url = defaultAdmin
		if r := o.running(); r != nil {
			url = r.Edges[0].Admin
		}
	}
	if !strings.Contains(url, "://") {
		url = "http://" + url
	}
	return admin.Client{URL: url}
}

// etcdClient returns a client of the etcd that --etcd names, else of the running edge dev. The caller closes it.
func (o *options) etcdClient() (*etcd.Client, error) {
	url := o.etcd
	if url == "" {
		url = defaultEtcd
		if r := o.running(); r != nil {
			url = r.Etcd
		}
	}
	c, err := etcd.Open(etcd.Config{Endpoints: strings.Split(url, ",")})
	if err != nil {
		return nil, misusef("--etcd: %w", err)
	}
	return c, nil
}
