// SPDX-License-Identifier: Apache-2.0

package dev

import (
	"net/http/httptest"
	"strings"
	"testing"

	"meridian/admin"
	"meridian/topology"
)

// TestADrainedEdgeHasComeUp: its drain is kept with the data, and the next start of edge dev must not wait for it to be ready.
func TestADrainedEdgeHasComeUp(t *testing.T) {
	for name, drained := range map[string]bool{"edge/e1": true, "edge/e2": false, "node/e1": false, "region/e1": false} {
		s := httptest.NewServer(admin.New(admin.Config{
			Ready: func() (bool, string) { return false, "the reason" },
			Status: func() admin.Status {
				return admin.Status{Edge: "e1", Drains: []admin.DrainStatus{{Drain: &topology.Drain{Name: name}}}}
			},
		}).Handler())
		err := edgeUp(t.Context(), strings.TrimPrefix(s.URL, "http://"))
		if drained != (err == nil) || err != nil && err.Error() != "the reason" {
			t.Errorf("with a drain of %s: %v", name, err)
		}
		s.Close()
	}
}
