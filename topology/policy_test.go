// SPDX-License-Identifier: Apache-2.0

package topology

import (
	"strings"
	"testing"
	"time"
)

func TestPoliciesAreHeldToTheirBounds(t *testing.T) {
	f := func(p Pool, want ...string) { t.Helper(); p.Name = "p"; checks(t, &p, want...) }
	for _, p := range policies {
		f(Pool{Policy: p})
	}
	f(Pool{Policy: "fastest"}, "policy")
	f(Pool{Policy: PolicyMaglev, Hash: Hash{By: HashByHeader, Name: "X-User", Load: 1.05}})
	f(Pool{Policy: PolicyRing, Hash: Hash{By: HashByAddress, Load: 10}})
	f(Pool{Policy: PolicyRing, Hash: Hash{By: HashByCookie}}, "hash.name")
	f(Pool{Policy: PolicyRing, Hash: Hash{By: HashByQuery, Name: "a b"}}, "hash.name")
	f(Pool{Policy: PolicyRing, Hash: Hash{By: HashByQuery, Name: strings.Repeat("a", 129)}}, "hash.name")
	f(Pool{Policy: PolicyRing, Hash: Hash{Name: "x"}}, "hash.name")
	f(Pool{Policy: PolicyRing, Hash: Hash{By: "port", Load: 1.04}}, "hash.by", "hash.load")
	f(Pool{Policy: PolicyRandom, Hash: Hash{By: HashByAddress}}, "hash")
	nan := 0.0
	nan /= nan
	f(Pool{Limit: Limit{Adaptive: true, Min: 5, Max: 5}})
	f(Pool{Queue: Queue{Size: 1, Timeout: Duration(time.Millisecond)}})
	f(Pool{Queue: Queue{Timeout: Duration(time.Second)}}, "queue.size")
	f(Pool{Queue: Queue{Size: 100_001, Timeout: 1}}, "queue.size", "queue.timeout")
	f(Pool{Limit: Limit{Adaptive: true, Min: 2000}})
	f(Pool{Limit: Limit{Min: 5}}, "limit")
	f(Pool{Limit: Limit{Adaptive: true, Min: 6, Max: 5}}, "limit.min")
	f(Pool{Limit: Limit{Adaptive: true, Min: -1, Max: 100_001}}, "limit.min", "limit.max")
	f(Pool{SlowStart: 1, Utilization: 0.05, FallbackPool: "A"}, "slow_start", "utilization", "fallback_pool")
	f(Pool{SlowStart: Duration(2 * time.Hour), Utilization: nan, FallbackPool: "p"}, "slow_start", "utilization", "fallback_pool")
	f(Pool{SlowStart: Duration(time.Millisecond), Utilization: 1, FallbackPool: "q"})
	f(Pool{Policy: PolicyRing, Hash: Hash{Load: nan}}, "hash.load")
}

func TestAHashesDefaults(t *testing.T) {
	if got := (Hash{}).WithDefaults(); got != (Hash{By: HashByAddress, Load: 1.25}) {
		t.Errorf("%+v", got)
	}
	if got := (Hash{By: HashByQuery, Name: "q", Load: 2}).WithDefaults(); got != (Hash{By: HashByQuery, Name: "q", Load: 2}) {
		t.Errorf("%+v", got)
	}
}

func TestPoolsAndNodesHaveDefaults(t *testing.T) {
	p, n := &Pool{}, &Node{}
	if p.EffectiveSlowStart() != 30*time.Second || p.EffectiveUtilization() != 0.9 || n.EffectiveTarget() != 0.8 || n.IsOverflow() {
		t.Error("a default is not what is documented")
	}
	p, n = &Pool{SlowStart: 1, Utilization: 0.5}, &Node{Target: 0.6, Labels: map[string]string{"role": "overflow"}}
	if p.EffectiveSlowStart() != 1 || p.EffectiveUtilization() != 0.5 || n.EffectiveTarget() != 0.6 || !n.IsOverflow() {
		t.Error("what is set is not in force")
	}
	if got := (Limit{}).WithDefaults(); got.Min != 3 || got.Max != 1000 {
		t.Errorf("%+v", got)
	}
	if got := (Queue{}).WithDefaults(); got.Size != 0 || got.Timeout != Duration(time.Second) {
		t.Errorf("%+v", got)
	}
	checks(t, &Node{Name: "n", Pool: "p", Region: "r", Address: "10.0.0.7:80", Target: 1}, "target")
}

func TestAFallbackPoolMustBeThere(t *testing.T) {
	set := Set{}
	set.Put(&Pool{Name: "a", FallbackPool: "b"})
	s, problems := Build(1, set)
	if len(problems) != 1 || problems[0].Field != "fallback_pool" || s.Pool("a") != nil {
		t.Errorf("%v", problems)
	}
	set.Put(&Pool{Name: "b", FallbackPool: "a"})
	if s, problems = Build(1, set); len(problems) != 0 || s.Pool("a") == nil {
		t.Errorf("%v", problems)
	}
}

func TestAPoolOfSessionsIsNotBalancedBySpeed(t *testing.T) {
	for _, c := range []struct {
		pool Pool
		want Policy
	}{
		{Pool{}, PolicyLatency},
		{Pool{Protocol: ProtocolGRPC}, PolicyLatency},
		{Pool{Protocol: ProtocolMCP}, PolicyLeastRequest},
		{Pool{Protocol: ProtocolMCP, Policy: PolicyLatency}, PolicyLatency},
	} {
		if got := c.pool.EffectivePolicy(); got != c.want {
			t.Errorf("%+v: %s, want %s", c.pool, got, c.want)
		}
	}
}
