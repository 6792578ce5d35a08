// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// backend is a node as the harness has it: where it is, and the process that is it now.
type backend struct {
	name    string
	addr    string // IP:PORT, kept over all of its lives
	journal string
	program string
	flags   []string
	prefix  []string // what starts it elsewhere, as in another network namespace

	proc  *process
	stdin io.WriteCloser
	agent *process       // what registers it, nil: a file names it
	tie   io.WriteCloser // ends agent
}

// hosts gives every node an address of its own on loopback, which no outgoing connection takes a port of meanwhile: a node that is
// restarted must get its old one.
var hosts atomic.Uint32

// newBackend lays out a node without starting it.
func newBackend(program, dir, name string, flags ...string) *backend {
	n := hosts.Add(1)
	addr := fmt.Sprintf("127.%d.%d.%d:0", 1+n>>16&63, n>>8&255, n&255)
	return &backend{name: name, addr: addr, journal: filepath.Join(dir, name+".journal"), program: program, flags: flags}
}

// start starts the node, for the first time or again.
func (b *backend) start() error {
	args := append(append([]string{}, b.prefix...), b.program, "node", "-name", b.name, "-listen", b.addr, "-journal", b.journal)
	cmd := exec.Command(args[0], append(args[1:], b.flags...)...)
	var err error
	if b.stdin, err = cmd.StdinPipe(); err != nil {
		return err
	}
	if b.proc, err = launch(cmd); err != nil {
		return err
	}
	n, err := b.proc.await(0, func(s string) bool { return strings.HasPrefix(s, "ready ") })
	if err != nil {
		return fmt.Errorf("node %s: %w", b.name, err)
	}
	lines, _ := b.proc.printed(n)
	b.addr = strings.TrimPrefix(lines[0].text, "ready ")
	return nil
}

// do has the node behave so, and returns when it does.
func (b *backend) do(c conduct) error {
	lines, _ := b.proc.printed(0)
	text, err := json.Marshal(c)
	if err != nil {
		return err
	}
	if _, err := b.stdin.Write(append(text, '\n')); err != nil {
		return fmt.Errorf("node %s: %w", b.name, err)
	}
	_, err = b.proc.await(len(lines), func(s string) bool { return s == "done" })
	return err
}

// kill ends the process without a word.
func (b *backend) kill() error {
	err := b.proc.signal(syscall.SIGKILL)
	<-b.proc.ended
	b.stdin.Close()
	return err
}

// leave ends the process as a deployment does, and waits for that.
func (b *backend) leave() error {
	if err := b.proc.signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-b.proc.ended:
		b.stdin.Close()
		return nil
	case <-time.After(awaited):
		return fmt.Errorf("node %s does not end on SIGTERM: %s", b.name, b.proc.tail())
	}
}

// end ends the node for good.
func (b *backend) end() {
	b.unregister()
	if b.proc == nil {
		return
	}
	b.proc.cmd.Process.Signal(syscall.SIGKILL)
	<-b.proc.ended
	b.stdin.Close()
}
