// SPDX-License-Identifier: Apache-2.0

package dns

import (
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/VictoriaMetrics/metrics"

	"meridian/dns/wire"
	"meridian/topology"
)

// inputs are what zones are made of, to tell whether another snapshot gives the same ones: most revisions change nodes
// and reports only.
type inputs struct {
	names   []*topology.Name
	regions []*topology.Region
	edges   []*topology.Edge
	drained []bool // of edges: they are drained
}

func inputsOf(s *topology.Snapshot) inputs {
	in := inputs{names: s.Names, regions: s.Regions, edges: s.Edges}
	for _, e := range s.Edges {
		in.drained = append(in.drained, s.DrainOfEdge(e.Name) != nil)
	}
	return in
}

func (in inputs) equal(o inputs) bool {
	return slices.Equal(in.names, o.names) && slices.Equal(in.drained, o.drained) &&
		slices.EqualFunc(in.regions, o.regions, func(a, b *topology.Region) bool { return a.Name == b.Name }) &&
		slices.EqualFunc(in.edges, o.edges, func(a, b *topology.Edge) bool {
			return a == b || a.Region == b.Region && slices.Equal(a.Addresses, b.Addresses)
		})
}

// compiler builds zones.
type compiler struct {
	out   *zones
	apex  map[string]*zone
	hosts []regionHosts
}

// regionHosts are the labels of a region's name servers, "REGION.ns", and their addresses.
type regionHosts struct {
	labels []byte
	v4, v6 []netip.Addr
}

// compile makes the zones of a snapshot. What does not fit into a DNS name is left out: a name server whose region's name
// is no host name, or a mailbox below a very long apex.
func compile(s *topology.Snapshot) *zones {
	c := compiler{
		out:   &zones{owners: map[string]*owner{}, regions: map[topology.RegionID]int{}, inputs: inputsOf(s)},
		apex:  map[string]*zone{},
		hosts: hostsOf(s),
	}
	for i, r := range s.Regions {
		c.out.regions[r.Name] = i
	}
	for _, n := range s.Names {
		c.name(n, len(s.Regions))
	}
	for apex, z := range c.apex {
		c.zone(apex, z)
	}
	c.close()
	return c.out
}

// hostsOf returns the name servers of every region that has an edge, in the order of regions.
func hostsOf(s *topology.Snapshot) []regionHosts {
	var out []regionHosts
	for _, r := range s.Regions {
		labels, ok := wire.AppendLabels(nil, string(r.Name))
		if !ok || !hostLabels(string(r.Name)) {
			continue
		}
		h := regionHosts{labels: append(labels, "\x02ns"...)}
		for _, e := range serversOf(s, r.Name) {
			for _, a := range e.Addresses {
				h.add(a.Unmap())
			}
		}
		if len(h.v4)+len(h.v6) > 0 {
			out = append(out, h)
		}
	}
	return out
}

// serversOf returns the edges of a region that are not drained, or, where all are, all: a name server that is there is better than none.
func serversOf(s *topology.Snapshot, r topology.RegionID) []*topology.Edge {
	all := s.EdgesIn(r)
	if left := slices.DeleteFunc(slices.Clone(all), func(e *topology.Edge) bool { return s.DrainOfEdge(e.Name) != nil }); len(left) > 0 {
		return left
	}
	return all
}

func (h *regionHosts) add(a netip.Addr) {
	set := &h.v6
	if a.Is4() {
		set = &h.v4
	}
	if len(*set) < maxAddresses && !slices.Contains(*set, a) {
		*set = append(*set, a)
	}
}

// hostLabels reports whether no label begins or ends with a hyphen (RFC 1123, section 2.1).
func hostLabels(s string) bool {
	for label := range strings.SplitSeq(s, ".") {
		if strings.HasPrefix(label, "-") || strings.HasSuffix(label, "-") {
			return false
		}
	}
	return true
}

// name adds a name of the topology and the apex of its zone.
func (c *compiler) name(n *topology.Name, regions int) {
	name, ok := wireName(n.Name)
	apex, ok2 := wireName(n.EffectiveZone())
	if !ok || !ok2 || !strings.HasSuffix(name, apex) {
		return
	}
	o := c.owner(name)
	o.name = n
	o.ttl = uint32(n.EffectiveTTL().Seconds())
	o.answers = make([]atomic.Pointer[metrics.Counter], regions)
	if c.apex[apex] == nil {
		c.apex[apex] = &zone{apex: wire.Suffix(len(apex))}
		c.owner(apex).apex = true
	}
}

// wireName returns a checked name in wire form, lower case.
func wireName(n topology.NameID) (string, bool) {
	b, ok := wire.AppendLabels(nil, strings.ToLower(string(n)))
	if !ok || len(b) == 0 || len(b) >= wire.MaxNameBytes {
		return "", false
	}
	return string(append(b, 0)), true
}

// owner returns the owner of a name, which it adds if need be.
func (c *compiler) owner(name string) *owner {
	o := c.out.owners[name]
	if o == nil {
		o = &owner{size: wire.Suffix(len(name))}
		c.out.owners[name] = o
	}
	return o
}

// zone adds a zone's name servers. A name of the topology that is spelled like one keeps its own answers.
func (c *compiler) zone(apex string, z *zone) {
	for _, h := range c.hosts {
		if len(h.labels)+len(apex) > wire.MaxNameBytes {
			continue
		}
		o := c.owner(string(h.labels) + apex)
		if o.name == nil {
			o.v4, o.v6 = h.v4, h.v6
		}
		if len(z.servers) < maxServers {
			z.servers = append(z.servers, server{wire.Name{Labels: h.labels, Suffix: z.apex}, o})
		}
	}
	z.primary = wire.Name{Suffix: z.apex}
	if len(z.servers) > 0 {
		z.primary = z.servers[0].host
	}
	if mailbox := []byte("\x0ahostmaster"); len(mailbox)+len(apex) <= wire.MaxNameBytes {
		z.mailbox = wire.Name{Labels: mailbox, Suffix: z.apex}
	}
}

// close adds the names that lead to others and gives every owner its zone. A zone that lies in another one makes names
// there too: without them the outer zone would deny them, and all that is below (RFC 8020).
func (c *compiler) close() {
	names := make([]string, 0, len(c.out.owners))
	for name := range c.out.owners {
		names = append(names, name)
	}
	for _, name := range names {
		above := c.above(name)
		for _, n := range above {
			c.owner(n)
		}
	}
	for name, o := range c.out.owners {
		o.zone = c.apex[name]
		if o.zone == nil {
			o.zone = c.enclosing(name)
		}
	}
	for apex, z := range c.apex {
		z.above = c.enclosing(apex)
	}
}

// above returns the names between name and the outermost apex above it, that apex included.
func (c *compiler) above(name string) []string {
	var all []string
	last := 0
	for name = parent(name); name != ""; name = parent(name) {
		all = append(all, name)
		if c.apex[name] != nil {
			last = len(all)
		}
	}
	return all[:last]
}

// enclosing returns the innermost zone whose apex is above name, or nil.
func (c *compiler) enclosing(name string) *zone {
	for name = parent(name); name != ""; name = parent(name) {
		if z := c.apex[name]; z != nil {
			return z
		}
	}
	return nil
}

// parent returns the name without its first label; "" for a name of one label.
func parent(name string) string {
	if rest := name[int(name[0])+1:]; len(rest) > 1 {
		return rest
	}
	return ""
}
