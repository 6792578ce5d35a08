// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"meridian/health"
	"meridian/topology"
)

// lab is a prober in virtual time whose checks are made by the test.
type lab struct {
	*Prober
	t *testing.T

	mu      sync.Mutex // guards the fields below
	starts  map[string][]time.Duration
	running map[string]int
	most    int
	total   int
}

// newLab starts a prober; check is what a check of a target takes and finds. It is stopped when the bubble's test ends.
func newLab(t *testing.T, cfg Config, settings health.Settings, targets []Target, check func(ctx context.Context, id string) result) *lab {
	tracker := cfg.Tracker
	if tracker == nil {
		tracker = health.NewTracker(nil)
	}
	all := map[string]health.Settings{}
	for _, target := range targets {
		all[target.ID] = settings
	}
	tracker.Apply(all, time.Now())
	cfg.Tracker = tracker
	l := &lab{Prober: New(cfg), t: t, starts: map[string][]time.Duration{}, running: map[string]int{}}
	began := time.Now()
	l.check = func(ctx context.Context, target Target) result {
		l.mu.Lock()
		l.starts[target.ID] = append(l.starts[target.ID], time.Since(began))
		l.running[target.ID]++
		l.total++
		l.most = max(l.most, l.total)
		if l.running[target.ID] > 1 {
			t.Errorf("%s is checked twice at a time", target.ID)
		}
		l.mu.Unlock()
		r := check(ctx, target.ID)
		l.mu.Lock()
		l.running[target.ID]--
		l.total--
		l.mu.Unlock()
		return r
	}
	l.SetTargets(targets)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- l.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("Run returned %v", err)
		}
		if l.total != 0 {
			t.Errorf("Run returned while %d checks ran", l.total)
		}
	})
	return l
}

func (l *lab) of(id string) []time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]time.Duration(nil), l.starts[id]...)
}

// busiest returns how many checks ran at once.
func (l *lab) busiest() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.most
}

func pass(context.Context, string) result { return result{ok: true} }

func targetsNamed(n int) (out []Target) {
	for i := range n {
		out = append(out, Target{ID: fmt.Sprintf("n%d", i), Address: "10.0.0.1:80"})
	}
	return out
}

func TestChecksAreAnIntervalApartWithJitter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, Config{}, health.Settings{Interval: time.Second}, targetsNamed(1), func(context.Context, string) result {
			time.Sleep(200 * time.Millisecond) // is part of the interval
			return result{ok: true}
		})
		time.Sleep(100 * time.Second)
		starts := l.of("n0")
		if len(starts) < 95 || len(starts) > 106 || starts[0] != 0 {
			t.Fatalf("got %d checks, the first after %s", len(starts), starts[0])
		}
		apart := map[time.Duration]bool{}
		for i := 1; i < len(starts); i++ {
			d := starts[i] - starts[i-1]
			apart[d] = true
			if d < 900*time.Millisecond || d > 1100*time.Millisecond {
				t.Errorf("got %s between two checks", d)
			}
		}
		if len(apart) < 20 {
			t.Errorf("got only %d different times between checks", len(apart))
		}
	})
}

func TestNodeBetweenTwoVerdictsIsCheckedFaster(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var fail atomic.Bool
		l := newLab(t, Config{}, health.Settings{Interval: time.Second, FastInterval: 100 * time.Millisecond, Fall: 3}, targetsNamed(1),
			func(context.Context, string) result {
				if fail.Load() {
					return result{reason: "connect refused"}
				}
				return result{ok: true}
			})
		time.Sleep(500 * time.Millisecond)
		fail.Store(true)
		time.Sleep(1 * time.Second)
		v := l.cfg.Tracker.Verdict("n0")
		if v.State != health.Down || !strings.Contains(v.Reason, "connect refused") || v.Failures < 3 {
			t.Errorf("got %+v after %v", v, l.of("n0"))
		}
	})
}

func TestTenThousandTargetsAreSpread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 10_000
		l := newLab(t, Config{}, health.Settings{Interval: 5 * time.Second}, targetsNamed(n), func(context.Context, string) result {
			time.Sleep(5 * time.Millisecond)
			return result{ok: true}
		})
		time.Sleep(time.Second + 50*time.Millisecond)
		buckets := make([]int, 11)
		for i := range n {
			starts := l.of(fmt.Sprintf("n%d", i))
			if len(starts) != 1 {
				t.Fatalf("n%d was checked %d times in the first second", i, len(starts))
			}
			buckets[starts[0]/(100*time.Millisecond)]++
		}
		for i, count := range buckets[:10] {
			if count < n/10-n/100 || count > n/10+n/100 {
				t.Errorf("%d first checks in tenth %d of the first second", count, i)
			}
		}
		time.Sleep(20 * time.Second)
		if got := l.busiest(); got > defaultMaxConcurrent {
			t.Errorf("%d checks at once", got)
		}
		for i := range n {
			if got := len(l.of(fmt.Sprintf("n%d", i))); got < 2 || got > 3 { // each ten seconds: 1,000 a second
				t.Fatalf("n%d was checked %d times in 21s", i, got)
			}
		}
	})
}

func TestTargetsThatHangDoNotTakeMoreThanTheirSlots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, Config{MaxConcurrent: 4}, health.Settings{}, targetsNamed(20), func(ctx context.Context, _ string) result {
			time.Sleep(time.Second)
			return result{reason: "timeout after 1s"}
		})
		time.Sleep(5500 * time.Millisecond)
		if got := l.busiest(); got != 4 {
			t.Errorf("%d checks at once, want 4", got)
		}
		for i := range 20 {
			if len(l.of(fmt.Sprintf("n%d", i))) == 0 {
				t.Errorf("n%d has not had its turn", i)
			}
		}
	})
}

func TestKickChecksAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, Config{}, health.Settings{Interval: time.Hour}, targetsNamed(1), pass)
		l.Kick("unknown")
		time.Sleep(10 * time.Second)
		l.Kick("n0")
		synctest.Wait()
		if got := l.of("n0"); len(got) != 2 || got[1] != 10*time.Second {
			t.Errorf("got checks at %v", got)
		}
	})
}

func TestKickDuringACheckChecksAgainAfterIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, Config{}, health.Settings{Interval: time.Hour}, targetsNamed(1), func(context.Context, string) result {
			time.Sleep(time.Second)
			return result{ok: true}
		})
		time.Sleep(500 * time.Millisecond)
		l.Kick("n0")
		l.Kick("n0")
		time.Sleep(10 * time.Second)
		if got := l.of("n0"); len(got) != 2 || got[1] != time.Second {
			t.Errorf("got checks at %v", got)
		}
	})
}

func TestKickGoesBeforeThoseThatAreLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, Config{MaxConcurrent: 1}, health.Settings{Interval: time.Hour}, targetsNamed(50), func(context.Context, string) result {
			time.Sleep(time.Second)
			return result{ok: true}
		})
		synctest.Wait()
		time.Sleep(500 * time.Millisecond)
		var last string
		for i := range 50 {
			if id := fmt.Sprintf("n%d", i); len(l.of(id)) == 0 {
				last = id
			}
		}
		l.Kick(last)
		time.Sleep(time.Second)
		if got := l.of(last); len(got) != 1 || got[0] != time.Second {
			t.Errorf("got checks at %v", got)
		}
	})
}

func TestRemovedTargetIsNotCheckedAndItsResultNotTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, Config{}, health.Settings{Interval: time.Second}, targetsNamed(2), func(_ context.Context, id string) result {
			time.Sleep(500 * time.Millisecond)
			return result{ok: true}
		})
		time.Sleep(100 * time.Millisecond)
		l.SetTargets(targetsNamed(1)) // while both are checked
		time.Sleep(10 * time.Second)
		if got := l.of("n1"); len(got) != 1 {
			t.Errorf("got checks of the removed target at %v", got)
		}
		if v := l.cfg.Tracker.Verdict("n1"); v.Checks != 0 {
			t.Errorf("got %+v", v)
		}
		if v := l.cfg.Tracker.Verdict("n0"); v.State != health.Up {
			t.Errorf("got %+v", v)
		}
	})
}

func TestTargetAtANewAddressIsCheckedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, Config{}, health.Settings{Interval: time.Hour}, targetsNamed(1), pass)
		time.Sleep(time.Second)
		l.SetTargets(targetsNamed(1))
		time.Sleep(time.Second)
		l.SetTargets([]Target{{ID: "n0", Address: "10.0.0.2:80"}})
		time.Sleep(time.Second)
		if got := l.of("n0"); len(got) != 2 || got[1] != 2*time.Second {
			t.Errorf("got checks at %v", got)
		}
	})
}

func TestShortageOfDescriptorsLeavesTheVerdict(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		l := newLab(t, Config{Logger: slog.New(slog.NewTextHandler(&log, nil))}, health.Settings{}, targetsNamed(10), func(context.Context, string) result {
			return result{local: syscall.EMFILE}
		})
		time.Sleep(5 * time.Second)
		if v := l.cfg.Tracker.Verdict("n0"); v.State != health.Unknown || len(l.of("n0")) < 4 {
			t.Errorf("got %+v after %v", v, l.of("n0"))
		}
		synctest.Wait()
		if got := strings.Count(log.String(), "too many open files"); got != 1 {
			t.Errorf("got %d lines of log: %s", got, log.String())
		}
	})
}

func TestCheckThatIsCutByTheEndIsNotTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tracker := health.NewTracker(nil)
		tracker.Apply(map[string]health.Settings{"n0": {}}, time.Now())
		p := New(Config{Tracker: tracker})
		p.check = func(ctx context.Context, _ Target) result { <-ctx.Done(); return result{reason: "timeout"} }
		p.SetTargets(targetsNamed(1))
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := p.Run(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if v := tracker.Verdict("n0"); v.Checks != 0 {
			t.Errorf("got %+v", v)
		}
	})
}

// TestNodesAndEdgesAreProbed runs the whole over real connections.
func TestNodesAndEdgesAreProbed(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == reportPath {
			io.WriteString(w, `{"seq":3,"started":"2026-11-23T14:00:00Z"}`)
		}
	}))
	defer server.Close()
	address := server.Listener.Addr().String()

	changes := make(chan string, 10)
	tracker := health.NewTracker(func(id string, v health.Verdict) { changes <- id + " " + v.State.String() })
	reports := make(chan string, 10)
	p := New(Config{Tracker: tracker, Report: func(e topology.EdgeID, r *topology.Report) {
		select {
		case reports <- fmt.Sprintf("%s %d", e, r.Seq):
		default:
		}
	}})
	settings := health.Settings{Interval: 50 * time.Millisecond}
	tracker.Apply(map[string]health.Settings{"node/n": settings, "edge/e": settings, "node/gone": settings}, time.Now())
	p.SetTargets([]Target{
		{ID: "node/n", Address: address, Check: topology.HealthCheck{Path: "/healthz"}},
		{ID: "edge/e", Kind: Edge, Address: address},
		{ID: "node/gone", Address: "127.0.0.1:1"},
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	got, first := map[string]bool{}, reports
	for range 4 {
		select {
		case c := <-changes:
			got[c] = true
		case r := <-first:
			got[r] = true
			first = nil // a nil channel is never ready
		case <-time.After(10 * time.Second):
			t.Fatalf("got only %v", got)
		}
	}
	for _, w := range []string{"node/n up", "edge/e up", "node/gone down", "e 3"} {
		if !got[w] {
			t.Errorf("got %v, want %s", got, w)
		}
	}
	cancel()
	<-ended
}

func TestHurryGivesACheckHalfOfItsTimeOnce(t *testing.T) {
	p := New(Config{Tracker: health.NewTracker(nil)})
	p.SetTargets([]Target{{ID: "a", Check: topology.HealthCheck{Timeout: topology.Duration(400 * time.Millisecond)}}})
	p.Hurry("unknown")
	for i, want := range []time.Duration{400, 200, 400} {
		if i == 1 {
			p.Hurry("a")
		} else {
			p.Kick("a")
		}
		now := time.Now()
		e, target, _ := p.next(now)
		if e == nil || target.Check.Timeout.Std() != want*time.Millisecond {
			t.Fatalf("check %d: %v, %v; want %d ms", i, e, target.Check.Timeout, want)
		}
		p.finish(e, now.Add(time.Hour))
	}
}
