// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"sync"
	"time"
)

// rolling is F23: all nodes are restarted as a deployment does it, three of ten at a time and then one at a time. A node that is told to
// leave is not ready for two seconds, in which it goes on, and then ends what it has.
var rolling = &fault{
	id: "F23", title: "rolling restart of ten nodes, three at a time, then one", nodes: 10, least: 16 * time.Second,
	inject: func(r *run) error {
		for size := 3; r.wait(300*time.Millisecond, 600*time.Millisecond); size = 1 {
			for i := 0; i < len(r.nodes) && r.left(3*time.Second); i += size {
				batch := r.nodes[i:min(i+size, len(r.nodes))]
				if err := r.restart(batch); err != nil {
					return err
				}
				r.wait(time.Second, time.Second)
			}
			if !r.left(3 * time.Second) {
				break
			}
		}
		return nil
	},
	judge: none,
}

// restart restarts nodes at once and returns when all are there again.
func (r *run) restart(batch []*backend) error {
	errs := make([]error, len(batch))
	var all sync.WaitGroup
	r.breaks(batch[0])
	for i, n := range batch {
		all.Go(func() {
			if errs[i] = n.leave(); errs[i] == nil {
				errs[i] = n.start()
			}
		})
	}
	all.Wait()
	r.mends()
	return errors.Join(errs...)
}
