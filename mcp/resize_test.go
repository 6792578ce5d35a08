// SPDX-License-Identifier: Apache-2.0

package mcp

import (
	"fmt"
	"testing"
	"time"
)

func TestResizingForgetsTheOldestAndTakesTheNewIdleTime(t *testing.T) {
	now := time.Unix(1000, 0)
	s := NewSessions(2000, time.Hour) // one shard
	for i := range 2000 {
		s.Bind("mcp", fmt.Sprint("s", i), "n1", now.Add(time.Duration(i)*time.Second))
	}
	s.Resize(10, time.Minute)
	if got := s.Len(); got != 10 {
		t.Fatalf("%d sessions are left, want 10", got)
	}
	if _, ok := s.Lookup("mcp", "s1999", now.Add(2000*time.Second)); !ok {
		t.Error("the youngest is gone")
	}
	if _, ok := s.Lookup("mcp", "s1995", now.Add(2100*time.Second)); ok {
		t.Error("a session outlives the new idle time")
	}
	s.Resize(0, 0)
	for i := range 20 {
		s.Bind("mcp", fmt.Sprint("t", i), "n1", now.Add(time.Hour))
	}
	if got := s.Len(); got < 20 {
		t.Errorf("%d sessions after the bound was raised, want 20", got)
	}
}
