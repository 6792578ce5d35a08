// SPDX-License-Identifier: Apache-2.0

package exchange

import (
	"testing"
	"time"
)

func TestABodyMustKeepItsPace(t *testing.T) {
	for _, c := range []struct {
		name       string
		rate       int
		every      time.Duration
		bytes      int
		endsWithin time.Duration // 0: never
	}{
		{"one byte in five seconds", 500, 5 * time.Second, 1, 20 * time.Second},
		{"just too slow", 500, time.Second, 499, 20 * time.Second},
		{"just fast enough", 500, time.Second, 500, 0},
		{"in bursts", 500, 19 * time.Second, 10000, 0},
		{"nothing is demanded", 0, 50 * time.Second, 1, 0},
		{"silence", 0, 2 * time.Minute, 1, time.Minute},
	} {
		t.Run(c.name, func(t *testing.T) {
			var p Pace
			p.Reset(c.rate, 0)
			began := time.Unix(0, 0)
			now := began
			for range 1000 {
				by := p.Wait(now, time.Minute)
				if now = now.Add(c.every); now.After(by) {
					if took := by.Sub(began); took != c.endsWithin || p.TooSlow() != (c.rate > 0) {
						t.Fatalf("ended after %s, too slow: %v; want %s", took, p.TooSlow(), c.endsWithin)
					}
					return
				}
				p.Got(c.bytes, now)
				now = now.Add(time.Hour) // the reader's own time does not count
				began = began.Add(time.Hour)
			}
			if c.endsWithin != 0 {
				t.Errorf("never ended; want %s", c.endsWithin)
			}
		})
	}
}
