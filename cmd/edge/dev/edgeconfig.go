// SPDX-License-Identifier: Apache-2.0

package dev

import (
	"net/netip"
	"os"
	"path/filepath"

	"meridian/config"
	"meridian/topology"
)

// writeEdgeConfig writes an edge's edge.yaml, as an operator would, and returns its path. It is written anew at each
// start: flags are what counts.
func (p *Plan) writeEdgeConfig(e EdgePlan) (string, error) {
	dir := p.edgeDir(e.Name)
	cfg := config.Edge{
		Name: topology.EdgeID(e.Name), Region: e.Region,
		HTTP:      config.HTTP{Listen: []string{e.HTTP}},
		DNS:       config.DNS{Listen: []string{e.DNS}},
		Admin:     config.Admin{Listen: e.Admin},
		Advertise: config.Advertise{Addresses: []netip.Addr{e.IP}},
		Etcd:      config.Etcd{Endpoints: []string{p.EtcdURL()}},
		DataDir:   dir,
		AccessLog: filepath.Join(p.DataDir, "logs", e.Name+".access.log"),
	}
	if err := os.Remove(cfg.AccessLog); err != nil && !os.IsNotExist(err) { // as the other logs, it is of one run
		return "", err
	}
	b, err := config.EncodeYAML(cfg.WithDefaults())
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	path := filepath.Join(dir, "edge.yaml")
	return path, os.WriteFile(path, b, 0o600)
}
