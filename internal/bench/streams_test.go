// SPDX-License-Identifier: Apache-2.0

package main

import (
	"testing"
	"time"

	"meridian/internal/loadgen"
)

func TestTheStreamsNodeServesOurClients(t *testing.T) {
	s, err := startStreams()
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{streams: s}
	defer l.stop()
	for name, c := range map[string]clients{"events": eventStreams, "WebSockets": webSockets} {
		t.Run(name, func(t *testing.T) {
			open, end, err := c(t.Context(), l, s.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer end()
			lanes, err := loadgen.OpenLanes(t.Context(), 5, open)
			if err != nil {
				t.Fatal(err)
			}
			defer lanes.Close()
			r := lanes.AtRate(t.Context(), 500, 40*time.Millisecond)
			if o, err := outcomeOf(r, 40*time.Millisecond); err != nil || o.requests != 20 || o.p50 <= 0 || o.p999 < o.p50 {
				t.Errorf("got %+v, %v; want 20 exchanges", o, err)
			}
		})
	}
	_, publish := s.newStream()
	if err := publish(); err == nil {
		t.Error("an event went to a stream that nobody reads")
	}
}
