// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"meridian/health"
)

// TestALateCheckTakesNoNodeOutThatAnswersRequests has every check time out: first while requests are answered, then while they are not.
func TestALateCheckTakesNoNodeOutThatAnswersRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tracker := health.NewTracker(nil)
		var checked, stopped atomic.Bool
		l := newLab(t, Config{Tracker: tracker}, health.Settings{Interval: time.Second}, targetsNamed(1), func(ctx context.Context, id string) result {
			if !checked.Swap(true) {
				return result{ok: true}
			}
			for range 10 {
				began := time.Now()
				time.Sleep(100 * time.Millisecond)
				if !stopped.Load() {
					tracker.Answered(id, began)
				}
			}
			return result{late: true, reason: "timeout after 1s"}
		})
		time.Sleep(20 * time.Second)
		v := tracker.Verdict("n0")
		if v.State != health.Suspect || v.Refuted < 10 || !strings.Contains(v.Reason, "refuted by 10 requests") {
			t.Errorf("while it answers: got %+v", v)
		}
		stopped.Store(true)
		time.Sleep(4 * time.Second) // the check that runs, and two more
		if v := tracker.Verdict("n0"); v.State != health.Down {
			t.Errorf("stopped: got %+v after checks at %v", v, l.of("n0"))
		}
	})
}
