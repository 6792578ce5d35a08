// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// cell is a network namespace with a link to this one, in which a node can be cut off without a word: what comes is taken, and what would go
// back is dropped.
type cell struct{ name, link, inner, outer string }

// openCell makes a cell and has the node start in it.
func openCell(b *backend) (*cell, error) {
	n := os.Getpid()%10000*4 + int(hosts.Add(1))%4
	c := &cell{name: fmt.Sprintf("faults-%d", n), link: fmt.Sprintf("flt%d", n)}
	// A net of TEST-NET-2, which is nobody's: RFC 5737.
	quad := n % 63 * 4
	c.outer, c.inner = fmt.Sprintf("198.51.100.%d", quad+1), fmt.Sprintf("198.51.100.%d", quad+2)
	for _, args := range []string{
		"netns add " + c.name,
		"link add " + c.link + " type veth peer name eth0 netns " + c.name,
		"addr add " + c.outer + "/30 dev " + c.link,
		"link set " + c.link + " up",
		"-n " + c.name + " addr add " + c.inner + "/30 dev eth0",
		"-n " + c.name + " link set eth0 up",
		"-n " + c.name + " link set lo up",
	} {
		if err := ip(args); err != nil {
			return nil, errors.Join(err, c.close())
		}
	}
	b.prefix = []string{"ip", "netns", "exec", c.name}
	b.addr = c.inner + ":0"
	return c, nil
}

// cut drops all that would leave the cell, and join lets it through again.
func (c *cell) cut() error  { return ip("-n " + c.name + " route add blackhole " + c.outer) }
func (c *cell) join() error { return ip("-n " + c.name + " route del blackhole " + c.outer) }

// close removes the cell with its link.
func (c *cell) close() error { return ip("netns del " + c.name) }

func ip(args string) error {
	if out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput(); err != nil {
		return fmt.Errorf("ip %s: %w: %s", args, err, out)
	}
	return nil
}
