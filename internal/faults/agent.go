// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"meridian/topology"
	"meridian/topology/etcd"
)

// leaseTTL is the shortest that a registrar takes.
const leaseTTL = 2 * time.Second

// runAgent is the main function of what registers a node: it keeps the node's key in etcd under a lease, as a worker does for itself, and
// ends with its standard input. It is a process of its own so that a registration can stop while its node serves.
func runAgent(args []string) error {
	flags := flag.NewFlagSet("agent", flag.ContinueOnError)
	store := flags.String("etcd", "", "etcd's URL")
	name := flags.String("name", "", "the node's name")
	address := flags.String("address", "", "where the node listens")
	if err := flags.Parse(args); err != nil {
		return err
	}
	c, err := etcd.Open(etcd.Config{Endpoints: []string{*store}, Logger: slog.New(slog.NewTextHandler(os.Stdout, nil))})
	if err != nil {
		return err
	}
	defer c.Close()
	n := &topology.Node{Name: topology.NodeID(*name), Pool: "web", Region: "lab", Address: *address}
	reg := c.Registrar(etcd.RegistrarConfig{Key: n.Key(), TTL: leaseTTL, Value: func() []byte { return topology.Encode(n) }})
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	running := make(chan error, 1)
	go func() { running <- reg.Run(ctx) }()
	if err := reg.Wait(ctx); err != nil {
		return err
	}
	fmt.Println("registered")
	os.Stdin.Read(make([]byte, 1)) // ends with the harness
	stop()
	if err := <-running; !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// register starts what registers the node, and returns when it has.
func (b *backend) register(store string) error {
	cmd := exec.Command(b.program, "agent", "-etcd", store, "-name", b.name, "-address", b.addr)
	var err error
	if b.tie, err = cmd.StdinPipe(); err != nil {
		return err
	}
	if b.agent, err = launch(cmd); err != nil {
		return err
	}
	if _, err = b.agent.await(0, func(s string) bool { return s == "registered" }); err != nil {
		return fmt.Errorf("register node %s: %w", b.name, err)
	}
	return nil
}

// anew waits until the node has been registered under a new lease, as said after the first n lines.
func (b *backend) anew(n int) error {
	_, err := b.agent.await(n, func(s string) bool { return strings.Contains(s, "registered in etcd again") })
	if err != nil {
		return fmt.Errorf("register node %s again: %w", b.name, err)
	}
	return nil
}

// unregister ends what registers the node.
func (b *backend) unregister() {
	if b.agent == nil {
		return
	}
	b.agent.cmd.Process.Signal(syscall.SIGKILL)
	<-b.agent.ended
	b.tie.Close()
}
