// SPDX-License-Identifier: Apache-2.0

package exchange

import "testing"

func TestNamesCompareWithoutRegardToCase(t *testing.T) {
	h := Header{{"Accept", "a"}, {"x-a", "1"}, {"X-A", "2"}}
	if got := h.Get("X-a"); got != "1" {
		t.Errorf("Get: got %q, want the first value", got)
	}
	if got := h.Count("X-A"); got != 2 {
		t.Errorf("Count: got %d, want 2", got)
	}
	h.Del("x-A")
	if len(h) != 1 || h.Get("accept") != "a" || h.Get("X-A") != "" {
		t.Errorf("Del left %v", h)
	}
}

func TestListsAreReadAsRFC9110WritesThem(t *testing.T) {
	for _, c := range []struct {
		list, token string
		want        bool
	}{
		{"close", "close", true}, {"Keep-Alive, CLOSE", "close", true}, {" ,\tclose ,", "close", true},
		{"closed", "close", false}, {"", "close", false}, {"a b", "b", false},
	} {
		if got := ListHas(c.list, c.token); got != c.want {
			t.Errorf("ListHas(%q, %q) = %v, want %v", c.list, c.token, got, c.want)
		}
	}
	if !(Header{{"Connection", "x"}, {"connection", "Close"}}).HasToken("Connection", "close") {
		t.Error("a token in the second field of a name is not found")
	}
}
