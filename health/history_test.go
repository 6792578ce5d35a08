// SPDX-License-Identifier: Apache-2.0

package health_test

import (
	"fmt"
	"testing"
	"time"

	"meridian/health"
)

func TestTheLastChangesAreKept(t *testing.T) {
	tr := health.NewTracker(nil)
	tr.Apply(map[string]health.Settings{"a": {Rise: 1, Fall: 1}}, began)
	if h := tr.History("a"); len(h) != 0 {
		t.Errorf("got %v before the first check", h)
	}
	for i := range 21 { // up, down, up …: each is a change
		tr.Probed("a", i%2 == 0, fmt.Sprintf("fault %d", i), 0, began.Add(time.Duration(i)*time.Second))
		tr.Probed("a", i%2 == 0, "again", 0, began.Add(time.Duration(i)*time.Second)) // no change
	}
	h := tr.History("a")
	if len(h) != health.MaxHistory {
		t.Fatalf("got %d changes", len(h))
	}
	for k, c := range h {
		i := 21 - health.MaxHistory + k
		want := health.Up
		if i%2 == 1 {
			want = health.Down
		}
		if c.State != want || !c.At.Equal(began.Add(time.Duration(i)*time.Second)) || c.Reason == "" {
			t.Errorf("change %d: got %+v, want %s", i, c, want)
		}
	}
	if tr.History("b") != nil {
		t.Error("a target that is not known has a history")
	}
}

func TestAStateIsReadAsItIsWritten(t *testing.T) {
	for s := health.Unknown; s <= health.Refused; s++ {
		b, err := s.MarshalText()
		got := health.Up
		if err == nil {
			err = got.UnmarshalText(b)
		}
		if err != nil || got != s {
			t.Errorf("%s: got %s, %v", s, got, err)
		}
	}
	got := health.Up
	if err := got.UnmarshalText([]byte("bewildered")); err != nil || got != health.Unknown {
		t.Errorf("got %s, %v", got, err)
	}
}
