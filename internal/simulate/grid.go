// SPDX-License-Identifier: Apache-2.0

package main

import (
	"runtime"
	"sync"

	"meridian/balancer/sim"
)

// grid is what is run: every policy in every scenario at every load with every seed, with checks and without.
type grid struct {
	scenarios []*sim.Scenario
	loads     []float64
	policies  []sim.Policy
	seed      uint64
	seeds     int
}

// The two tables.
const (
	withChecks = iota
	bare
	tables
)

// cell is one scenario at one load in one of the tables: results by policy, then by seed.
type cell struct {
	scenario *sim.Scenario
	load     float64
	results  [][]sim.Result
}

// outcome is what a grid gave: cells by table, then by scenario and load, and the limits' by load, then by seed.
type outcome struct {
	grid
	cells  [tables][]cell
	limits [][]sim.Result
}

// job is one run. The table tables stands for the limits, with the load's place as the cell.
type job struct{ table, cell, policy, seed int }

// run runs the grid on all processors.
func (g grid) run() *outcome {
	o := &outcome{grid: g}
	for t := range o.cells {
		for _, s := range g.scenarios {
			for _, l := range g.loads {
				c := cell{scenario: s, load: l, results: make([][]sim.Result, len(g.policies))}
				for p := range c.results {
					c.results[p] = make([]sim.Result, g.seeds)
				}
				o.cells[t] = append(o.cells[t], c)
			}
		}
	}
	for range g.loads {
		o.limits = append(o.limits, make([]sim.Result, g.seeds))
	}
	jobs := make(chan job)
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for j := range jobs {
				o.do(j)
			}
		})
	}
	for j := range o.jobs {
		jobs <- j
	}
	close(jobs)
	workers.Wait()
	return o
}

func (o *outcome) jobs(yield func(job) bool) {
	for l := range o.loads {
		for s := range o.seeds {
			if !yield(job{table: tables, cell: l, seed: s}) {
				return
			}
		}
	}
	for t := range o.cells {
		for c := range o.cells[t] {
			for p := range o.policies {
				for s := range o.seeds {
					if !yield(job{t, c, p, s}) {
						return
					}
				}
			}
		}
	}
}

// do runs one job and stores what it gave, where no other job does.
func (o *outcome) do(j job) {
	seed := o.seed + uint64(j.seed)
	if j.table == tables {
		o.limits[j.cell][j.seed] = sim.Run(sim.Config{
			Scenario: sim.Limited(), Policy: sim.Meridian, Load: o.loads[j.cell], Seed: seed, Checks: newChecks,
		})
		return
	}
	c := &o.cells[j.table][j.cell]
	cfg := sim.Config{Scenario: c.scenario, Policy: o.policies[j.policy], Load: c.load, Seed: seed}
	if j.table == withChecks {
		cfg.Checks = newChecks
	}
	c.results[j.policy][j.seed] = sim.Run(cfg)
}
