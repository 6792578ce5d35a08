// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os/exec"
	"time"
)

// startEtcd starts an etcd for the edge and puts the topology into it.
func (x *proxy) startEtcd(set *settings) error {
	client, err := freeAddr()
	if err != nil {
		return err
	}
	peer, err := freeAddr()
	if err != nil {
		return err
	}
	set.Etcd = "http://" + client
	x.store = set.Etcd
	x.etcd, err = launch(exec.Command(x.edge, "etcd", "--data-dir", set.Dir+"/etcd", "--client-url", set.Etcd, "--peer-url", "http://"+peer))
	if err != nil {
		return err
	}
	if err := write("topology.yaml", *set); err != nil {
		return err
	}
	for late := time.Now().Add(awaited); ; {
		out, err := x.command("apply", "-f", set.Dir+"/topology.yaml").CombinedOutput()
		if err == nil {
			return nil
		}
		select {
		case <-x.etcd.ended:
			return fmt.Errorf("etcd has ended:%s", x.etcd.tail())
		case <-time.After(100 * time.Millisecond):
		}
		if time.Now().After(late) {
			return fmt.Errorf("apply the topology: %w: %s", err, out)
		}
	}
}

// command is one of the edge's program that goes to its etcd.
func (x *proxy) command(args ...string) *exec.Cmd {
	return exec.Command(x.edge, append(args, "--etcd", x.store)...)
}
