// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"meridian/internal/loadgen"
)

// load makes sessionless tool calls through one edge until the returned function is called, and notes when each failed
// one began.
type load struct {
	mu       sync.Mutex
	failures []failure

	cancel context.CancelFunc
	done   chan *loadgen.Result
	client *rawMCP
}

type failure struct {
	began time.Time
	err   error
}

func startLoad(url string, rate float64, work time.Duration) *load {
	ctx, cancel := context.WithCancel(context.Background())
	l := &load{cancel: cancel, done: make(chan *loadgen.Result, 1), client: newRawMCP(url)}
	go func() {
		l.done <- loadgen.Run(ctx, loadgen.Config{Rate: rate, Do: func(ctx context.Context, n int) error {
			began := time.Now()
			_, _, err := l.client.echoModern(ctx, fmt.Sprint("n", n), work)
			if err != nil && ctx.Err() == nil {
				l.mu.Lock()
				l.failures = append(l.failures, failure{began, err})
				l.mu.Unlock()
			}
			return err
		}})
	}()
	return l
}

func (l *load) stop() *loadgen.Result {
	l.cancel()
	r := <-l.done
	l.client.close()
	return r
}

// after lists the failures of requests that began after a moment.
func (l *load) after(when time.Time) (out []failure) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range l.failures {
		if f.began.After(when) {
			out = append(out, f)
		}
	}
	return out
}

// twoWorkers starts one region with two workers and opens sessions until both hold some.
func sessionsOnBoth(t *testing.T, c *rawMCP, each int) map[string][]*rawSession {
	t.Helper()
	held := map[string][]*rawSession{}
	for range 40 * each {
		s, err := c.open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		held[s.worker] = append(held[s.worker], s)
		if len(held) == 2 && len(held["mcp-us-east-1-1"]) >= each && len(held["mcp-us-east-1-2"]) >= each {
			return held
		}
	}
	t.Fatalf("sessions are not spread over both workers: %d and %d", len(held["mcp-us-east-1-1"]), len(held["mcp-us-east-1-2"]))
	return nil
}

// TestAKilledWorkerCostsOnlyWhatWasInFlight kills a worker under load. Its sessions get 503 until it is declared dead,
// which takes less than a second, and 404 from then on; everybody else notices nothing.
func TestAKilledWorkerCostsOnlyWhatWasInFlight(t *testing.T) {
	t.Parallel()
	f := startFleet(t, "--regions", "us-east-1")
	c := newRawMCP(f.mcpURL(0))
	defer c.close()
	held := sessionsOnBoth(t, c, 5)
	l := startLoad(f.mcpURL(0), 60, 20*time.Millisecond)
	opened := startOpening(f.mcpURL(0))
	f.waitFor("load flows", 10*time.Second, func() error { return trafficAt(f, "mcp-us-east-1-1") })

	victim, survivor := held["mcp-us-east-1-1"], held["mcp-us-east-1-2"]
	pid := f.pids()["mcp-us-east-1-1"]
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	// The supervisor reports a child that is gone with all its threads: only then are its sockets closed.
	f.waitFor("the process is gone", 5*time.Second, func() error {
		if strings.Contains(f.out.String(), "died: signal: killed") {
			return nil
		}
		return errors.New("still there")
	})
	killed := time.Now()
	declared := followDeath(t, victim)
	if d := declared.Sub(killed); d > time.Second {
		t.Errorf("the worker was declared dead %s after the kill; want at most 1s", d)
	} else {
		t.Logf("declared dead %s after the kill", d.Round(time.Millisecond))
	}
	for _, s := range survivor {
		if e, a, err := s.echo(t.Context(), "still here", 0); err != nil || e.Worker != "mcp-us-east-1-2" {
			t.Errorf("a session of the other worker: %+v %v", a, err)
		}
	}
	f.waitFor("load flows on", 5*time.Second, func() error { return trafficAt(f, "mcp-us-east-1-2") })
	result := l.stop()
	t.Logf("load: %s", result)
	for _, x := range l.after(killed) {
		t.Errorf("a request that began %s after the kill failed: %v", x.began.Sub(killed), x.err)
	}
	sessions := opened.stop()
	t.Logf("new sessions: %s", sessions)
	for _, x := range opened.after(killed) {
		t.Errorf("a session that was opened %s after the kill failed: %v", x.began.Sub(killed), x.err)
	}
	if !strings.Contains(f.out.String(), "mcp-us-east-1-1 (pid") || !strings.Contains(f.out.String(), "died: signal: killed") {
		t.Errorf("edge dev does not report the death:\n%s", f.out)
	}
	bringBack(t, f)
}

// startOpening opens sessions all the time.
func startOpening(url string) *load {
	ctx, cancel := context.WithCancel(context.Background())
	l := &load{cancel: cancel, done: make(chan *loadgen.Result, 1), client: newRawMCP(url)}
	go func() {
		l.done <- loadgen.Run(ctx, loadgen.Config{Rate: 20, Do: func(ctx context.Context, _ int) error {
			began := time.Now()
			a, err := l.client.post(ctx, initializeBody, nil)
			if err == nil && (a.status != http.StatusOK || a.session == "") {
				err = fmt.Errorf("initialize: status %d: %s", a.status, a.body)
			}
			if err != nil && ctx.Err() == nil {
				l.mu.Lock()
				l.failures = append(l.failures, failure{began, err})
				l.mu.Unlock()
			}
			return err
		}})
	}()
	return l
}

// trafficAt returns nil once a node has served several calls since the caller began to ask.
func trafficAt(f *testFleet, node string) error {
	c := newRawMCP(f.mcpURL(0))
	defer c.close()
	e, _, err := c.echoModern(context.Background(), "probe", 0)
	if err != nil {
		return err
	}
	if e.Worker != node {
		return fmt.Errorf("answered by %s", e.Worker)
	}
	return nil
}

// followDeath asks the dead worker's sessions in turn: each answer must be 503 until the first 404, and 404 from then on.
// It returns when the first 404 came.
func followDeath(t *testing.T, sessions []*rawSession) time.Time {
	t.Helper()
	var declared time.Time
	give := time.Now().Add(10 * time.Second)
	for i := 0; time.Now().Before(give); i++ {
		_, a, err := sessions[i%len(sessions)].echo(t.Context(), "are you there", 0)
		switch {
		case a.status == http.StatusNotFound:
			if declared.IsZero() {
				declared = time.Now()
			}
			if i%len(sessions) == len(sessions)-1 && time.Since(declared) > 300*time.Millisecond {
				return declared
			}
		case a.status == http.StatusServiceUnavailable && declared.IsZero():
		default:
			t.Fatalf("call %d on a session of the dead worker: status %d, %v (declared dead: %v)", i, a.status, err, !declared.IsZero())
		}
	}
	t.Fatal("the worker was never declared dead")
	return declared
}

// bringBack starts the killed worker again and waits until it is used.
func bringBack(t *testing.T, f *testFleet) {
	t.Helper()
	f.must("dev", "start", "mcp-us-east-1-1")
	f.waitFor("the worker is used again", 10*time.Second, func() error { return trafficAt(f, "mcp-us-east-1-1") })
}

// TestADrainedWorkerLosesNothing drains a worker under load: no request and no session fails, new ones go elsewhere,
// bound sessions go on, an open stream holds --wait, and idle sessions don't.
func TestADrainedWorkerLosesNothing(t *testing.T) {
	t.Parallel()
	f := startFleet(t, "--regions", "us-east-1")
	c := newRawMCP(f.mcpURL(0))
	defer c.close()
	held := sessionsOnBoth(t, c, 3)
	l := startLoad(f.mcpURL(0), 60, 20*time.Millisecond)
	opening := startOpening(f.mcpURL(0))

	bound := held["mcp-us-east-1-1"]
	stream := openStream(t, bound[0])
	waited := make(chan string, 1)
	go func() {
		out, errs, code := f.run("drain", "node/mcp-us-east-1-1", "--wait", "--deadline", "1m")
		waited <- fmt.Sprintf("%d %s%s", code, out, errs)
	}()
	f.waitFor("the drain is seen", 10*time.Second, func() error {
		st, err := f.status(0)
		if err != nil {
			return err
		}
		for _, n := range st.Nodes {
			if n.Name == "mcp-us-east-1-1" && n.Drain == "draining" && n.Streams == 1 {
				return nil
			}
		}
		return errors.New("not draining with one stream")
	})
	drained := time.Now()
	for range 20 {
		if e, _, err := c.echoModern(t.Context(), "elsewhere", 0); err != nil || e.Worker != "mcp-us-east-1-2" {
			t.Errorf("a sessionless request: %+v, %v; want it on the other worker", e, err)
		}
		if s, err := c.open(t.Context()); err != nil || s.worker != "mcp-us-east-1-2" {
			t.Errorf("a new session: %v; want it on the other worker", err)
		}
	}
	for _, s := range bound {
		if e, a, err := s.echo(t.Context(), "bound", 10*time.Millisecond); err != nil || e.Worker != "mcp-us-east-1-1" {
			t.Errorf("a bound session: %+v, %v; want it to go on", a, err)
		}
	}
	select {
	case s := <-waited:
		t.Fatalf("drain --wait returned while a stream was open: %s", s)
	default:
	}
	stream.close()
	select {
	case s := <-waited:
		if !strings.HasPrefix(s, "0 ") || !strings.Contains(s, "idle sessions are left") {
			t.Errorf("drain --wait: %s; want exit code 0 with the idle sessions counted", s)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("drain --wait does not return although nothing is left but idle sessions")
	}
	for what, r := range map[string]*loadgen.Result{"load": l.stop(), "new sessions": opening.stop()} {
		t.Logf("%s: %s", what, r)
		if r.Failed > 0 {
			t.Errorf("%s: %d of %d failed over the drain (begun %s ago)", what, r.Failed, r.Sent, time.Since(drained))
		}
	}
}

// rawStream is an open GET stream of a session.
type rawStream struct {
	resp   *http.Response
	cancel context.CancelFunc
	ended  chan struct{} // closed when the stream has ended
}

func openStream(t *testing.T, s *rawSession) *rawStream {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "text/event-stream")
	for k, v := range s.header() {
		req.Header.Set(k, v)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil || resp.StatusCode != http.StatusOK {
		cancel()
		t.Fatalf("GET stream: %v %v", resp, err)
	}
	st := &rawStream{resp, cancel, make(chan struct{})}
	go func() {
		defer close(st.ended)
		for buf := make([]byte, 1024); ; {
			if _, err := resp.Body.Read(buf); err != nil {
				return
			}
		}
	}()
	t.Cleanup(st.close)
	return st
}

func (s *rawStream) close() {
	s.cancel()
	<-s.ended
	s.resp.Body.Close()
}

// TestADrainThatIsTakenBackEndsItsWait undrains a node while a command waits for it.
func TestADrainThatIsTakenBackEndsItsWait(t *testing.T) {
	t.Parallel()
	f := startFleet(t, "--regions", "us-east-1,eu-central-1", "--workers", "1")
	c := newRawMCP(f.mcpURL(1))
	defer c.close()
	s, err := c.open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	stream := openStream(t, s)
	waited := make(chan string, 1)
	go func() {
		out, errs, code := f.run("drain", "node/mcp-eu-central-1-1", "--wait")
		waited <- fmt.Sprintf("%d %s%s", code, out, errs)
	}()
	// The edge of the other region has nothing there, and must not say that the node is drained.
	f.waitFor("both edges say that it is draining", 10*time.Second, func() error {
		for n := range 2 {
			st, err := f.status(n)
			if err != nil {
				return err
			}
			for _, x := range st.Nodes {
				if x.Name == "mcp-eu-central-1-1" && x.Drain != "draining" {
					return fmt.Errorf("edge %d says %q", n, x.Drain)
				}
			}
		}
		return nil
	})
	f.must("undrain", "node/mcp-eu-central-1-1")
	select {
	case got := <-waited:
		if !strings.HasPrefix(got, "1 ") || !strings.Contains(got, "was taken back") {
			t.Errorf("drain --wait: %s; want exit code 1 and that it was taken back", got)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("drain --wait goes on after undrain")
	}
	stream.close()
}

// TestTheDeadlineOfADrainCutsTheRest drains a worker with a call and a stream that outlast the deadline.
func TestTheDeadlineOfADrainCutsTheRest(t *testing.T) {
	t.Parallel()
	f := startFleet(t, "--regions", "us-east-1")
	c := newRawMCP(f.mcpURL(0))
	defer c.close()
	s := sessionsOnBoth(t, c, 1)["mcp-us-east-1-1"][0]
	stream := openStream(t, s)
	call := make(chan error, 1)
	go func() {
		_, a, err := s.echo(context.Background(), "long", 50*time.Second)
		if err == nil {
			err = fmt.Errorf("it was answered: %+v", a)
		} else if a.status == http.StatusOK {
			err = nil
		}
		call <- err
	}()
	f.waitFor("the call is in flight", 10*time.Second, func() error {
		st, err := f.status(0)
		if err != nil {
			return err
		}
		for _, n := range st.Nodes {
			if n.Name == "mcp-us-east-1-1" && n.InFlight+n.Streams == 2 {
				return nil
			}
		}
		return errors.New("not yet")
	})
	out, errs, code := f.run("drain", "node/mcp-us-east-1-1", "--wait", "--deadline", "2s")
	if code != 1 || !strings.Contains(out, "2 requests and streams were cut by 1 edge") {
		t.Errorf("got exit code %d: %s%s; want 1 and two cut", code, out, errs)
	}
	select {
	case <-stream.ended:
	case <-time.After(5 * time.Second):
		t.Error("the stream goes on after the deadline")
	}
	select {
	case <-call:
	case <-time.After(5 * time.Second):
		t.Error("the call goes on after the deadline")
	}
	if _, a, _ := s.echo(t.Context(), "late", 0); a.status != http.StatusNotFound {
		t.Errorf("a session of a node that was cut: status %d; want 404", a.status)
	}
	f.must("undrain", "node/mcp-us-east-1-1")
	f.waitFor("the worker is used again", 10*time.Second, func() error { return trafficAt(f, "mcp-us-east-1-1") })
}
