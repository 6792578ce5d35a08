// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"net/http/httptest"
	"strings"
	"testing"
)

func TestARequestIsExplainedByItsId(t *testing.T) {
	s := httptest.NewServer(New(answers()).Handler())
	defer s.Close()
	c := Client{URL: s.URL}
	x, err := c.ExplainRequest(t.Context(), "an-id")
	if err != nil || len(x) != 1 || x[0].ID != "an-id" || x[0].State != "streaming" || len(x[0].Attempts) != 1 || x[0].Attempts[0].Why != "latency zone 1/3 hot" {
		t.Errorf("got %+v, %v", x, err)
	}
	for id, want := range map[string]string{"": "id is missing", "another": `no request "another" is under way on this edge`, strings.Repeat("x", 4000): `"` + strings.Repeat("x", 128) + `"`} {
		if _, err := c.ExplainRequest(t.Context(), id); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20q: %v", id, err)
		}
	}
}
