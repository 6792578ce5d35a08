// SPDX-License-Identifier: Apache-2.0

package dns

import (
	"net/netip"

	"meridian/dns/wire"
)

// The longest scopes that are answered, in bits. RFC 7871, section 11.1 asks for no more than shown here: a longer one
// tells resolvers about single subscribers and fills their caches.
const (
	maxScope4 = 24
	maxScope6 = 56
)

// tailored answers with the addresses of the region that suits the client.
func (t *turn) tailored(o *owner) {
	client, shown := t.client()
	choice, all := t.authority.choose(o.name, client)
	var picked [maxAddresses]netip.Addr
	n := t.pick(&picked, all)
	if n == 0 {
		// The scope stays 0: resolvers keep a negative answer for everybody anyway (RFC 7871, section 7.4). So it must
		// not outlive what another region would be answered with.
		t.negative(o.zone, min(negativeTTL, o.ttl))
		return
	}
	if shown {
		t.reply.Scope = scope(choice.Prefix, client)
	}
	owner := wire.Name{Suffix: o.size}
	for i, a := range picked[:n] {
		before := t.Mark()
		t.Address(wire.Answer, owner, o.ttl, a)
		if i > 0 && t.Left(t.reply) < 0 {
			t.Back(before) // fewer addresses are as good an answer as more
			break
		}
	}
	t.authority.stats.answered(t.model.zones, o, choice.Region)
}

// client returns whom to choose for: the client as far as the query shows it, else the resolver. A shown address is cut
// to the longest scope, so that all addresses that share it are chosen for alike, however fine the map is.
func (t *turn) client() (client netip.Addr, shown bool) {
	p, ok := t.query.Subnet.Prefix()
	if !ok {
		return t.from, false
	}
	return netip.PrefixFrom(p.Addr(), min(p.Bits(), maxScope(p.Addr()))).Masked().Addr(), true
}

func maxScope(a netip.Addr) int {
	if a.Is4() {
		return maxScope4
	}
	return maxScope6
}

// scope returns the scope prefix length of an answer that holds for all of p around client (RFC 7871, section 7.2.1). A
// prefix of the other family, or of another place, says nothing; then the longest scope is the one that can't be wrong.
func scope(p netip.Prefix, client netip.Addr) uint8 {
	if !p.Contains(client) {
		return uint8(maxScope(client))
	}
	return uint8(min(p.Bits(), maxScope(client)))
}

// pick puts up to maxAddresses of the asked family into picked, each of all equally likely to be among them, in random
// order, and returns how many.
func (t *turn) pick(picked *[maxAddresses]netip.Addr, all []netip.Addr) int {
	four := t.query.Type == wire.TypeA
	seen := 0
	for _, a := range all {
		if a = a.Unmap(); a.Is4() != four || !a.IsValid() {
			continue
		}
		if seen < maxAddresses {
			picked[seen] = a
		} else if i := t.below(seen + 1); i < maxAddresses {
			picked[i] = a
		}
		seen++
	}
	n := min(seen, maxAddresses)
	for i := n - 1; i > 0; i-- {
		j := t.below(i + 1)
		picked[i], picked[j] = picked[j], picked[i]
	}
	return n
}

// below returns a random number in [0, n). The bias of the modulo is n in 2^64.
func (t *turn) below(n int) int { return int(t.authority.random() % uint64(n)) }
