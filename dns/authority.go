// SPDX-License-Identifier: Apache-2.0

package dns

import (
	"net/netip"
	"strconv"

	"meridian/dns/wire"
	"meridian/geo"
	"meridian/topology"
)

// transport is what a query came by.
type transport int

const (
	overUDP transport = iota
	overTCP
)

// maxAmplification bounds an answer over UDP by its query's size, so that a forged sender's victim gets little more than
// the forger spends. What doesn't fit is asked again over TCP, where senders can't be forged.
const maxAmplification = 10

// authority turns the bytes of a query into those of its answer. It owns no socket. Safe for concurrent use.
type authority struct {
	// Set once, never changed.
	choose func(*topology.Name, netip.Addr) (geo.Choice, []netip.Addr)
	random func() uint64
	nsid   string
	stats  *stats

	models models
}

func newAuthority(c Config, st *stats) *authority {
	return &authority{
		choose: c.Choose,
		random: c.Rand,
		nsid:   c.NSID,
		stats:  st,
		models: models{snapshot: c.Snapshot, stats: st},
	}
}

// answer appends the answer to message, which from sent, to dst. It returns nil if there is to be none.
func (a *authority) answer(dst, message []byte, from netip.Addr, by transport) []byte {
	t := turn{authority: a, from: from}
	q := &t.query
	err := q.Parse(message)
	if err == wire.ErrIgnore {
		a.stats.notQuery.Inc()
		return nil
	}
	t.model = a.models.load()
	t.Writer = wire.NewWriter(dst, q, limit(q, by))
	if q.NSID && t.model != nil {
		t.reply.NSID = a.nsid + " revision=" + strconv.FormatInt(int64(t.model.snapshot.Revision), 10)
	}
	if err != nil {
		t.refuse(rcodeOf(err))
	} else {
		t.decide()
	}
	out, truncated := t.Finish(t.reply)
	a.stats.count(by, t.reply.Rcode, truncated, q.Subnet.Present())
	return out
}

// limit returns how long the answer may be in bytes (RFC 6891, section 6.2.5).
func limit(q *wire.Query, by transport) int {
	switch {
	case by == overTCP:
		return wire.MaxMessageBytes
	case q.EDNS:
		return min(int(q.UDPSize), wire.MaxUDPBytes, maxAmplification*q.Size)
	}
	return min(wire.MinUDPBytes, maxAmplification*q.Size)
}

func rcodeOf(err error) uint16 {
	switch err {
	case wire.ErrOpcode:
		return wire.NotImp
	case wire.ErrVersion:
		return wire.BadVers
	}
	return wire.FormErr
}
