// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os/exec"
	"strings"
)

// cell is a network namespace with a link to this one, in which a node can be cut off without a word: what comes is taken, and what would go
// back is dropped.
type cell struct{ name, link, inner, outer string }

// openCell makes a cell and has the node start in it.
func openCell(b *backend) (*cell, error) {
	n := rand.N(1 << 15)
	c := &cell{name: fmt.Sprintf("faults-%d", n), link: fmt.Sprintf("flt%d", n)}
	// A net of 198.18.0.0/15, which is for tests: RFC 2544.
	quad := uint32(198<<24 | 18<<16 | n<<2)
	c.outer, c.inner = address(quad+1), address(quad+2)
	if err := ip("netns add " + c.name); err != nil {
		return nil, err
	}
	for _, args := range []string{
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

func address(n uint32) string {
	return netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, n))).String()
}
