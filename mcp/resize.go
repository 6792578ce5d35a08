// SPDX-License-Identifier: Apache-2.0

package mcp

import "time"

// Resize changes the bounds that NewSessions was given, with the same defaults. Where the table holds more than most, the
// sessions used longest ago go. The number of locks stays. It holds each lock only for a bounded time.
func (s *Sessions) Resize(most int, idle time.Duration) {
	if most <= 0 {
		most = DefaultMaxSessions
	}
	if idle <= 0 {
		idle = DefaultSessionIdle
	}
	s.idle.Store(int64(idle))
	const steps = 512 // about 0.1 ms
	for i := range s.shards {
		sh := &s.shards[i]
		room := max(1, (most+i)/len(s.shards)) // a shard of none could bind nothing
		for over := true; over; {
			sh.mu.Lock()
			sh.most = room
			for n := 0; n < steps && len(sh.byKey) > room; n++ {
				s.forgetLocked(sh, sh.oldest)
			}
			over = len(sh.byKey) > room
			sh.mu.Unlock()
		}
	}
}
