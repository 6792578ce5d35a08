// SPDX-License-Identifier: Apache-2.0

package strict

import (
	"testing"

	"meridian/proxy/exchange"
)

func TestTargetsAreTakenAsTheyStandOrRefused(t *testing.T) {
	for _, c := range []struct{ method, target, path, authority string }{
		{"GET", "/a%20b?c=/../d", "/a%20b", ""}, {"GET", "http://A.test/x", "/x", "A.test"}, {"OPTIONS", "*", "*", ""},
		{"GET", "*", "", ""}, {"GET", "hello", "", ""}, {"GET", "/a/../b", "", ""}, {"GET", "/a/%2e%2E/b", "", ""}, {"GET", "/a%2F..%2fb", "", ""}, {"GET", "/..%2Fb", "", ""},
		{"GET", "/a%2fb", "/a%2fb", ""}, // whether that may be is the route's
		{"GET", "/a;/..;x/b", "", ""}, {"GET", "/a\\b", "", ""}, {"GET", "/a#b", "", ""}, {"GET", "/%c0%ae", "", ""}, {"GET", "/%0a", "", ""},
	} {
		_, path, authority, r := ParseTarget(c.method, c.target)
		if path != c.path || authority != c.authority || (r == nil) != (c.path != "") {
			t.Errorf("%s %s: got %q, %q, %v", c.method, c.target, path, authority, r)
		}
	}
}

func TestARequestHasOneHost(t *testing.T) {
	for _, c := range []struct {
		hosts     []string
		authority string
		want      string // "" is refused
	}{
		{[]string{"a.test"}, "", "a.test"}, {nil, "a.test:80", "a.test:80"}, {[]string{"A.test"}, "a.test", "A.test"}, {[]string{"[::1]:1"}, "", "[::1]:1"},
		{nil, "", ""}, {[]string{"a.test", "a.test"}, "", ""}, {[]string{"a.test"}, "b.test", ""}, {[]string{"u@a.test"}, "", ""},
		{nil, "a.test:80@b", ""}, {[]string{"a.test,b.test"}, "", ""}, {[]string{""}, "", ""}, {[]string{"a.test:0"}, "", ""},
	} {
		var h exchange.Header
		for _, v := range c.hosts {
			h.Add("host", v)
		}
		got, r := TakeHost(&h, c.authority, true)
		if got != c.want || (r == nil) != (c.want != "") || r == nil && len(h) != 0 {
			t.Errorf("%q and %q: got %q, %v; left %v", c.hosts, c.authority, got, r, h)
		}
	}
}

func TestExpectIsTakenOnlyAsContinue(t *testing.T) {
	for _, v := range []string{"y 100-continue", "100-continue, x", ""} {
		if _, r := TakeExpect(&exchange.Header{{Name: "Expect", Value: v}}); r == nil || r.Status != 417 {
			t.Errorf("%q: got %v", v, r)
		}
	}
	h := exchange.Header{{Name: "expect", Value: "100-Continue"}}
	if ok, r := TakeExpect(&h); !ok || r != nil || len(h) != 0 {
		t.Errorf("got %v, %v; left %v", ok, r, h)
	}
}

func TestMethodsThatAreNotForwarded(t *testing.T) {
	for m, want := range map[string]int{"GET": 0, "PATCH": 0, "CONNECT": 501, "TRACE": 501, "get": 501, "GET /": 400, "": 400} {
		if r := Method(m); (r == nil) != (want == 0) || r != nil && r.Status != want {
			t.Errorf("%q: got %v", m, r)
		}
	}
}
