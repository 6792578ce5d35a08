// SPDX-License-Identifier: Apache-2.0

package main

import (
	"syscall"
	"time"
)

// killed is F1: a node's process ends without a word, and another one takes its place a while later.
var killed = &fault{
	id: "F1", title: "SIGKILL, back after 1.5 s", nodes: 3, least: 4 * time.Second,
	inject: func(r *run) error {
		for r.wait(500*time.Millisecond, 1500*time.Millisecond) && r.left(3*time.Second/2) {
			n := r.any()
			r.breaks(n)
			if err := n.kill(); err != nil {
				return err
			}
			r.wait(1500*time.Millisecond, 1500*time.Millisecond)
			if err := n.start(); err != nil {
				return err
			}
			r.mends()
		}
		return nil
	},
	judge: repeatableHold,
}

// hung is F2: a node's process stops for six seconds and goes on. The kernel accepts its connections meanwhile.
var hung = &fault{
	id: "F2", title: "SIGSTOP for 6 s", nodes: 3, least: 10 * time.Second,
	inject: func(r *run) error {
		for r.wait(500*time.Millisecond, 1500*time.Millisecond) && r.left(7*time.Second) {
			n := r.any()
			r.breaks(n)
			if err := n.proc.signal(syscall.SIGSTOP); err != nil {
				return err
			}
			r.wait(6*time.Second, 6*time.Second)
			if err := n.proc.signal(syscall.SIGCONT); err != nil {
				return err
			}
			r.mends()
			r.wait(time.Second, time.Second)
		}
		return nil
	},
	judge: repeatableHold,
}
