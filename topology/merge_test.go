// SPDX-License-Identifier: Apache-2.0

package topology

import "testing"

func TestMergeKeepsWhatANewerProgramWrote(t *testing.T) {
	f := func(kind Kind, prev, next, want string) {
		t.Helper()
		if got := string(Merge(kind, []byte(prev), []byte(next))); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	f(KindRegion, `{"name":"a","color":"red"}`, `{"name":"a","latitude":1}`, `{"color":"red","latitude":1,"name":"a"}`)
	f(KindRegion, `{"name":"a","latitude":2}`, `{"name":"a"}`, `{"name":"a"}`)
	f(KindRegion, `not json`, `{"name":"a"}`, `{"name":"a"}`)
	f(KindRegion, `[]`, `{"name":"a"}`, `{"name":"a"}`)
	f(KindRegion, `null`, `{"name":"a"}`, `{"name":"a"}`)
	f("gadgets", `{"x":1}`, `{"name":"a"}`, `{"name":"a"}`)
	// Within objects.
	f(KindPool, `{"name":"a","health_check":{"rise":3,"grpc":"x"}}`, `{"name":"a","health_check":{"fall":2}}`,
		`{"health_check":{"fall":2,"grpc":"x"},"name":"a"}`)
	f(KindPool, `{"name":"a","health_check":{"rise":3,"grpc":"x"}}`, `{"name":"a"}`, `{"health_check":{"grpc":"x"},"name":"a"}`)
	f(KindPool, `{"name":"a","health_check":{"rise":3}}`, `{"name":"a"}`, `{"name":"a"}`)
	// Labels are all known: one that is removed is gone.
	f(KindNode, `{"name":"a","labels":{"b":"c"}}`, `{"name":"a"}`, `{"name":"a"}`)
	// encoding/json reads a field whatever its case, so it is known in any.
	f(KindRegion, `{"NAME":"b","Latitude":3}`, `{"name":"a"}`, `{"name":"a"}`)
	f(KindNode, `{"name":"a","addreſs":"10.0.0.1:1"}`, `{"name":"a"}`, `{"name":"a"}`)
}
