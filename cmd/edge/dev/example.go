// SPDX-License-Identifier: Apache-2.0

package dev

import (
	_ "embed"
	"errors"

	"meridian/config"
	"meridian/topology"
)

// example is etc/examples/topology.yaml without its regions, which come from --regions.
//
//go:embed example.yaml
var example []byte

// Example returns what an empty store gets: the example topology with the plan's regions.
func Example(p *Plan) (*topology.Set, error) {
	tf, problems := config.ParseTopology("example.yaml", example)
	if len(problems) > 0 {
		return nil, errors.New("the embedded example: " + problems[0].Error())
	}
	set := topology.Set{}
	for _, r := range tf.Resources {
		if r.Key().Kind != topology.KindRegion {
			set.Put(r)
		}
	}
	for _, r := range p.Regions {
		set.Put(r)
	}
	return &set, nil
}
