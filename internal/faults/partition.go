// SPDX-License-Identifier: Apache-2.0

package main

import "time"

// partitioned is F4: what a node sends gets lost, without a word to anybody.
var partitioned = &fault{
	id: "F4", title: "silent partition for 4 s", nodes: 3, apart: true, least: 7 * time.Second,
	inject: func(r *run) error {
		for r.wait(500*time.Millisecond, 1500*time.Millisecond) && r.left(5*time.Second) {
			r.breaks(r.nodes[0])
			if err := r.cell.cut(); err != nil {
				return err
			}
			r.wait(4*time.Second, 4*time.Second)
			if err := r.cell.join(); err != nil {
				return err
			}
			r.mends()
			r.wait(time.Second, time.Second)
		}
		return nil
	},
	judge: repeatableHold,
}
