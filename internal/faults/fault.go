// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"
	"time"
)

// fault is something that goes wrong, and what must hold then. The numbers are those of the matrix of faults that the project keeps.
type fault struct {
	id    string
	title string
	nodes int
	// flags are those of the nodes' program.
	flags []string
	// Pool is more of the edge's pool, as YAML; the others have the same meant in their files.
	Pool string
	// Etcd has the edge take its topology from an etcd, as drains need.
	Etcd bool
	// Leases has the nodes register themselves in it.
	Leases bool
	// apart has the first node be in a network namespace of its own.
	apart bool
	// alone says that only the edge has what is tried.
	alone bool
	// whole says that nobody detects it: what fails is under way, whenever that is.
	whole bool
	// least is how long a load must last for the fault to happen once, and to be over.
	least time.Duration
	// inject does it, as often as the load lasts, and leaves the nodes well.
	inject func(*run) error
	// judge says what did not hold.
	judge func(*outcome) []string
	// more is what else there is to be told. Nil: nothing.
	more func(all []*outcome) string
}

// faults are all.
var faults = []*fault{killed, hung, brownedOut, partitioned, resetting, flapping, partial, stale, allDown, drained, rolling, paused, vanished}

func find(id string) (*fault, error) {
	var ids []string
	for _, f := range faults {
		if f.id == id {
			return f, nil
		}
		ids = append(ids, f.id)
	}
	return nil, fmt.Errorf("no fault is called %q; want one of %s", id, strings.Join(ids, ", "))
}

// nothing is the control: no fault.
func nothing(r *run) error {
	<-r.ctx.Done()
	return nil
}
