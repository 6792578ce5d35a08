// SPDX-License-Identifier: Apache-2.0

package backend

import (
	"testing"
	"time"
)

func TestARateLetsItsBurstThroughAndThenThePace(t *testing.T) {
	r, now := newRate(100), time.Unix(1, 0)
	taken := func(slack time.Duration) int {
		n := 0
		for range 1000 {
			if ok, _ := r.take(now, slack); ok {
				n++
			}
		}
		return n
	}
	if n := taken(0); n != 10 {
		t.Errorf("burst: got %d, want a tenth of a second's worth, 10", n)
	}
	now = now.Add(50 * time.Millisecond)
	if n := taken(0); n != 5 {
		t.Errorf("after 50ms: got %d, want 5", n)
	}
	if n := taken(time.Second); n != 100 {
		t.Errorf("with a second of slack: got %d, want 100 more", n)
	}
	if ok, retry := r.take(now, 0); ok || retry <= 0 {
		t.Errorf("in debt: got %v, %s; want a refusal with the time to wait", ok, retry)
	}
}

func TestARateOfZeroDoesNotBound(t *testing.T) {
	r := newRate(0)
	for range 1000 {
		if ok, _ := r.take(time.Unix(1, 0), 0); !ok {
			t.Fatal("refused")
		}
	}
}

func TestTheProcessorShareIsThatOfTheWindow(t *testing.T) {
	at, used := time.Unix(1, 0), time.Duration(0)
	m := &cpuMeter{used: func() time.Duration { return used }, cores: 4, at: at}
	for _, c := range []struct {
		pass, use time.Duration
		want      float64
	}{
		{time.Second, 2 * time.Second, 0.5},
		{time.Millisecond, time.Second, 0.5}, // within the window: as before
		{time.Second, 3 * time.Second, 4.0 / 4.004},
		{time.Second, 100 * time.Second, 1}, // never above 1
		{time.Second, 0, 0},
	} {
		at, used = at.Add(c.pass), used+c.use
		if got := m.ratio(at); got < c.want-0.001 || got > c.want+0.001 {
			t.Errorf("after %s with %s used: got %v, want %v", c.pass, c.use, got, c.want)
		}
	}
}
