// SPDX-License-Identifier: Apache-2.0

package loadgen

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestLatencyCountsFromWhenARequestWasDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 990*time.Millisecond)
		defer cancel()
		r := Run(ctx, Config{Rate: 10, Do: func(context.Context, int) error {
			time.Sleep(30 * time.Millisecond)
			return nil
		}})
		if r.Sent != 10 || r.Failed != 0 || r.Quantile(1) != 30*time.Millisecond {
			t.Errorf("got %s; want 10 requests, none failed, 30ms each", r)
		}
	})
}

func TestASlowAnswerDelaysNoLaterRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 990*time.Millisecond)
		defer cancel()
		r := Run(ctx, Config{Rate: 10, MaxInFlight: 3, Do: func(ctx context.Context, n int) error {
			<-ctx.Done()
			return ctx.Err()
		}})
		if r.Sent != 7 || r.Failed != 7 {
			t.Errorf("got %s; want the 7 beyond the 3 slots counted as failed", r)
		}
	})
}

func TestFailuresAreCountedByText(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 990*time.Millisecond)
		defer cancel()
		r := Run(ctx, Config{Rate: 10, Do: func(_ context.Context, n int) error {
			if n == 4 || n == 6 {
				return errors.New("status 502")
			}
			return nil
		}})
		if r.Errors["status 502"] != 2 || r.FirstFailure != 400*time.Millisecond || r.LastFailure != 600*time.Millisecond {
			t.Errorf("got %s; want two failures from 400ms to 600ms", r)
		}
	})
}

func TestALoadWithADurationCountsItsLastRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := Run(t.Context(), Config{Rate: 10, Duration: time.Second, Do: func(context.Context, int) error {
			time.Sleep(3 * time.Second)
			return nil
		}})
		if r.Sent != 10 || r.Failed != 0 || r.Quantile(0) < 3*time.Second {
			t.Errorf("got %s; want 10 requests of 3s", r)
		}
	})
}

func TestAnExactLoadKeepsItsRateAndEndsWithItsContext(t *testing.T) {
	r := Run(t.Context(), Config{Rate: 1000, Duration: 20 * time.Millisecond, Exact: true, Do: func(context.Context, int) error { return nil }})
	if r.Sent != 20 {
		t.Errorf("got %s; want 20 requests", r)
	}
	ctx, cancel := context.WithCancel(t.Context())
	if r := Run(ctx, Config{Rate: 0.001, Exact: true, Do: func(context.Context, int) error { cancel(); return nil }}); r.Sent > 1 {
		t.Errorf("got %s; want one request", r)
	}
}
