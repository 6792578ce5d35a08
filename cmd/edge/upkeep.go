// SPDX-License-Identifier: Apache-2.0

package main

import "context"

// upkeep does in the background what the balancer asks for: it makes tables while picks go on by the old ones.
type upkeep struct {
	builds chan func() // of one: what waits makes everything that is out of date by then
}

func (u *upkeep) init() { u.builds = make(chan func(), 1) }

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
