// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"time"

	"meridian/balancer"
	"meridian/topology"
)

// upkeep does in the background what the balancer needs: it makes tables while picks go on by the old ones, and has the time
// told.
type upkeep struct {
	table  *balancer.Table
	builds chan func()             // of one: what waits makes everything that is out of date by then
	ticked func(time.Time)         // called after every tenth tick
	stalls func([]topology.NodeID) // called with those of which nothing comes back
}

// everyTicks is how many ticks make a second, in which the nodes are compared.
const everyTicks = int(time.Second / balancer.TickInterval)

func (u *upkeep) init(t *balancer.Table, ticked func(time.Time), stalls func([]topology.NodeID)) {
	u.table, u.ticked, u.stalls, u.builds = t, ticked, stalls, make(chan func(), 1)
}

// submit has run do the work, nil for none. It never blocks.
func (u *upkeep) submit(build func()) {
	if build == nil {
		return
	}
	select {
	case u.builds <- build:
	default:
	}
}

// run works until ctx ends.
func (u *upkeep) run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case build := <-u.builds:
			build()
		}
	}
}

// tick tells the balancer the time until ctx ends. It is not run's: a table may take a second to make.
func (u *upkeep) tick(ctx context.Context) error {
	tick := time.NewTicker(balancer.TickInterval)
	defer tick.Stop()
	for n := 1; ; n++ {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case now := <-tick.C:
			u.table.Tick(now)
			if nodes := u.table.Stalled(); len(nodes) > 0 {
				u.stalls(nodes)
			}
			if n%everyTicks == 0 {
				u.ticked(now)
			}
		}
	}
}
