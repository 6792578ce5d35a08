// SPDX-License-Identifier: Apache-2.0

package dns

import (
	"net/netip"

	"meridian/dns/wire"
)

// turn is one query on its way to its answer.
type turn struct {
	wire.Writer
	authority *authority
	model     *model     // nil: there is no topology yet
	query     wire.Query // a value: a pointer would move every query to the heap
	from      netip.Addr // the resolver, or who claims to be it
	reply     wire.Reply
}

func (t *turn) refuse(rcode uint16) { t.reply.Rcode = rcode }

// decide writes the answer's records and what the reply says of them.
func (t *turn) decide() {
	switch q := &t.query; {
	case q.Type == wire.TypeOPT, q.Type == wire.TypeNXNAME:
		t.refuse(wire.FormErr) // RFC 6891, section 6.1.1; RFC 9824, section 3.4
		return
	case q.Class != wire.ClassIN, q.Type >= wire.TypeTKEY && q.Type <= wire.TypeAXFR:
		t.refuse(wire.Refused)
		return
	case t.model == nil:
		t.refuse(wire.ServFail)
		t.reply.EDE = wire.EDENotReady
		return
	}
	var room [wire.MaxNameBytes]byte
	o, exact := t.model.zones.find(wire.AppendLower(room[:0], t.query.Name))
	if o == nil {
		t.refuse(wire.Refused)
		t.reply.EDE = wire.EDENotAuthoritative
		return
	}
	t.reply.Authoritative = true
	if !exact {
		t.reply.Rcode = wire.NXDomain
		t.negative(o.zone, negativeTTL)
		return
	}
	t.owned(o)
}

// owned answers a query for a name that exists.
func (t *turn) owned(o *owner) {
	owner := wire.Name{Suffix: o.size}
	switch q := &t.query; {
	case q.Type == wire.TypeANY && !o.empty():
		t.HINFO(wire.Answer, owner, anyTTL, "RFC8482", "")
	case (q.Type == wire.TypeA || q.Type == wire.TypeAAAA) && o.name != nil:
		t.tailored(o)
	case q.Type == wire.TypeA && len(o.v4) > 0:
		t.addresses(wire.Answer, owner, o.v4)
	case q.Type == wire.TypeAAAA && len(o.v6) > 0:
		t.addresses(wire.Answer, owner, o.v6)
	case q.Type == wire.TypeSOA && o.apex:
		t.soa(wire.Answer, o.zone, soaTTL)
	case q.Type == wire.TypeNS && o.apex && len(o.zone.servers) > 0:
		t.servers(o.zone)
	case q.Type == wire.TypeDS && o.apex && o.zone.above != nil:
		t.negative(o.zone.above, negativeTTL) // DS stands above the cut (RFC 4035, section 3.1.4.1)
	default:
		t.negative(o.zone, negativeTTL)
	}
}

// negative says that there is no such data (RFC 2308, section 2). Its Client Subnet scope is 0 (RFC 7871, section 7.4).
func (t *turn) negative(z *zone, ttl uint32) { t.soa(wire.Authority, z, min(ttl, soaTTL)) }

func (t *turn) soa(s wire.Section, z *zone, ttl uint32) {
	t.SOA(s, wire.Name{Suffix: z.apex}, ttl, wire.SOA{
		Primary: z.primary,
		Mailbox: z.mailbox,
		Serial:  t.model.serial(),
		Refresh: soaRefresh,
		Retry:   soaRetry,
		Expire:  soaExpire,
		Minimum: negativeTTL,
	})
}

func (t *turn) addresses(s wire.Section, owner wire.Name, all []netip.Addr) {
	for _, a := range all {
		t.Address(s, owner, hostTTL, a)
	}
}

// servers answers with the NS set and, as far as there is room for all of a host's addresses, with those: they are a
// courtesy here, so that leaving them out is no truncation (RFC 2181, section 9).
func (t *turn) servers(z *zone) {
	for _, s := range z.servers {
		t.NS(wire.Answer, wire.Name{Suffix: z.apex}, nsTTL, s.host)
	}
	for _, s := range z.servers {
		before := t.Mark()
		t.addresses(wire.Additional, s.host, s.owner.v4)
		t.addresses(wire.Additional, s.host, s.owner.v6)
		if t.Left(t.reply) < 0 {
			t.Back(before)
			return
		}
	}
}
