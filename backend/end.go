// SPDX-License-Identifier: Apache-2.0

package backend

import (
	"context"
	"time"
)

// Ours. Publishing is one write to etcd, and the registrar writes at most once a second; the last answers are small.
const (
	leaveTimeout = 3 * time.Second
	flushTimeout = 2 * time.Second
)

// end is the graceful end. It returns how many requests were cut.
func (w *Worker) end() (cut int) {
	ctx, cancel := context.WithTimeout(context.Background(), w.cfg.ShutdownDeadline)
	defer cancel()
	w.leaving.Store(true)
	w.leave(ctx)
	wait(ctx, w.cfg.Grace)
	w.refusing.Store(true)
	w.endStreams()
	cut = w.waitQuiet(ctx)
	w.release(ctx)
	return cut
}

func (w *Worker) leave(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, leaveTimeout)
	defer cancel()
	w.cfg.Leave(ctx)
}

// wait returns after d, or when ctx is done.
func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// endStreams ends the streams on which nothing is awaited: a standing stream by its end, a listen with its final result,
// which tells the client that this was meant (2026-07-28, basic/patterns/subscriptions).
func (w *Worker) endStreams() {
	w.endStanding()
	w.calls.endListens()
}

// waitQuiet returns when nothing is in flight, or at ctx's end how much was. A stream that slipped in while they were
// being ended does not count; release ends it.
func (w *Worker) waitQuiet(ctx context.Context) (left int) {
	for {
		n := w.inFlight()
		if n == 0 {
			return 0
		}
		select {
		case <-w.work.changed:
		case <-ctx.Done():
			return n
		}
	}
}

// release closes everything that is open, in this order: the listener and connections with nothing on them, the calls
// that are left, the connections that are left, then the sessions, whose end waits for their calls.
func (w *Worker) release(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, flushTimeout)
	defer cancel()
	_ = w.http.Shutdown(ctx) // an error says that connections are left, which Close ends
	w.cut()
	w.endStanding()
	_ = w.http.Close()
	for s := range w.server.Sessions() {
		_ = s.Close() // nobody is left who could be told
	}
	for {
		if requests, streams := w.work.counts(); requests+streams == 0 {
			return
		}
		<-w.work.changed
	}
}
