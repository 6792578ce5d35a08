// SPDX-License-Identifier: Apache-2.0

package dns

import (
	"net"
	"net/netip"
	"sync"
)

// connections bounds and tracks the open TCP connections, in all and by address. Safe for concurrent use. The lock is taken
// twice in a connection's life, never for a query.
type connections struct {
	// Set once, never changed.
	max, maxPerAddress int
	stats              *stats

	mu     sync.Mutex // guards the fields below
	open   map[*net.TCPConn]netip.Prefix
	counts map[netip.Prefix]int
}

func newConnections(total, perAddress int, st *stats) *connections {
	return &connections{max: total, maxPerAddress: perAddress, stats: st, open: map[*net.TCPConn]netip.Prefix{}, counts: map[netip.Prefix]int{}}
}

// add counts c in. false: a limit is reached, and c isn't counted.
func (cs *connections) add(c *net.TCPConn) bool {
	who := client(c.RemoteAddr().(*net.TCPAddr).AddrPort().Addr())
	cs.mu.Lock()
	defer cs.mu.Unlock()
	switch {
	case len(cs.open) >= cs.max:
		cs.stats.fullTotal.Inc()
		return false
	case cs.counts[who] >= cs.maxPerAddress:
		cs.stats.fullOne.Inc()
		return false
	}
	cs.open[c] = who
	cs.counts[who]++
	cs.stats.open.Inc()
	cs.stats.accepted.Inc()
	return true
}

// remove counts c out.
func (cs *connections) remove(c *net.TCPConn) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	who := cs.open[c]
	delete(cs.open, c)
	if cs.counts[who]--; cs.counts[who] == 0 {
		delete(cs.counts, who)
	}
	cs.stats.open.Dec()
}

// interrupt ends the wait of every connection for a query.
func (cs *connections) interrupt() {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	for c := range cs.open {
		_ = c.SetReadDeadline(longAgo) // fails only on a closed connection
	}
}

// client returns what counts as one client: an IPv4 address, or an IPv6 /64, of which every machine has a whole one.
func client(a netip.Addr) netip.Prefix {
	a = a.Unmap()
	bits := 32
	if a.Is6() {
		bits = 64
	}
	p, _ := a.WithZone("").Prefix(bits) // can't fail: bits fit the family
	return p
}
