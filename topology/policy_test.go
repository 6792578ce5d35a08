// SPDX-License-Identifier: Apache-2.0

package topology

import (
	"strings"
	"testing"
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
