// SPDX-License-Identifier: Apache-2.0

package dns

import (
	"fmt"

	"github.com/VictoriaMetrics/metrics"
	mdns "github.com/miekg/dns"

	"meridian/dns/wire"
	"meridian/topology"
)

// stats are the package's counters, looked up once so that a query only adds.
type stats struct {
	set       *metrics.Set
	queries   [2][wire.BadVers + 1]*metrics.Counter // by transport and response code
	truncated *metrics.Counter
	subnets   *metrics.Counter

	notQuery *metrics.Counter
	tooLong  *metrics.Counter
	unsent   *metrics.Counter
	panics   *metrics.Counter

	open      *metrics.Counter // a gauge: connections now
	accepted  *metrics.Counter
	fullTotal *metrics.Counter
	fullOne   *metrics.Counter
}

func newStats(set *metrics.Set) *stats {
	s := &stats{
		set:       set,
		truncated: set.GetOrCreateCounter("meridian_dns_truncated_total"),
		subnets:   set.GetOrCreateCounter("meridian_dns_client_subnet_total"),
		notQuery:  set.GetOrCreateCounter(`meridian_dns_dropped_total{reason="not a query"}`),
		tooLong:   set.GetOrCreateCounter(`meridian_dns_dropped_total{reason="too long"}`),
		unsent:    set.GetOrCreateCounter(`meridian_dns_dropped_total{reason="answer not sent"}`),
		panics:    set.GetOrCreateCounter("meridian_dns_panics_total"),
		open:      set.GetOrCreateCounter("meridian_dns_tcp_connections"),
		accepted:  set.GetOrCreateCounter("meridian_dns_tcp_accepted_total"),
		fullTotal: set.GetOrCreateCounter(`meridian_dns_tcp_refused_total{limit="all"}`),
		fullOne:   set.GetOrCreateCounter(`meridian_dns_tcp_refused_total{limit="address"}`),
	}
	for by, proto := range [...]string{overUDP: "udp", overTCP: "tcp"} {
		for _, rcode := range []uint16{wire.NoError, wire.FormErr, wire.ServFail, wire.NXDomain, wire.NotImp, wire.Refused, wire.BadVers} {
			text := mdns.RcodeToString[int(rcode)]
			if rcode == wire.BadVers {
				text = "BADVERS" // 16 is BADSIG too, which the module prefers
			}
			s.queries[by][rcode] = set.GetOrCreateCounter(fmt.Sprintf("meridian_dns_queries_total{proto=%q,rcode=%q}", proto, text))
		}
	}
	return s
}

func (s *stats) count(by transport, rcode uint16, truncated, subnet bool) {
	s.queries[by][rcode].Inc()
	if truncated {
		s.truncated.Inc()
	}
	if subnet {
		s.subnets.Inc()
	}
}

func answersMetric(name topology.NameID, region topology.RegionID) string {
	return fmt.Sprintf("meridian_dns_answers_total{name=%q,region=%q}", string(name), string(region))
}

// answered counts an answer of a region for a name. Only regions of the topology are counted, so that the number of series
// is bounded by it; each comes into being with its first answer.
func (s *stats) answered(z *zones, o *owner, region topology.RegionID) {
	i, ok := z.regions[region]
	if !ok {
		return // the choice was made on a newer topology than the zones
	}
	c := o.answers[i].Load()
	if c == nil {
		c = s.set.GetOrCreateCounter(answersMetric(o.name.Name, region))
		o.answers[i].Store(c)
	}
	c.Inc()
}

// forget ends the series of names and regions that are gone.
func (s *stats) forget(old, next *zones) {
	for wireName, o := range old.owners {
		if o.name == nil {
			continue
		}
		kept := next.owners[wireName]
		for region, i := range old.regions {
			_, there := next.regions[region]
			if o.answers[i].Load() != nil && (!there || kept == nil || kept.name == nil) {
				s.set.UnregisterMetric(answersMetric(o.name.Name, region))
			}
		}
	}
}
