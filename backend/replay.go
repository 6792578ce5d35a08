// SPDX-License-Identifier: Apache-2.0

package backend

import (
	"container/list"
	"context"
	"fmt"
	"iter"
	"slices"
	"sync"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// maxReplayStreams bounds the streams of one session that can be resumed. Ours: a client resumes what broke just now.
const maxReplayStreams = 64

// eventOverheadBytes stands for what one event costs besides its data, so that empty events are bounded too.
const eventOverheadBytes = 64

// replay keeps the latest events of each stream for clients that resume one (SEP-1699, Last-Event-ID). It is bounded by
// bytes over all sessions and by streams per session; the oldest stream's log goes first, and whole, after which that
// stream can't be resumed. The SDK's MemoryEventStore has no such bound: it keeps an entry for every POST that a session
// ever made, and once it has dropped an event of a session's standing stream it refuses every later GET.
type replay struct {
	max    int                  // bytes, set once
	closed func(session string) // set once; called without the lock

	mu       sync.Mutex // guards the fields below
	bytes    int
	sessions map[string]*sessionLogs
	order    *list.List // *eventLog over all sessions, oldest first
}

type sessionLogs struct {
	streams map[string]*eventLog
	posts   *list.List // *eventLog of the POSTs' streams, oldest first
}

// eventLog is one stream's events, from the first. The stream "" is the standing one that a GET without Last-Event-ID
// opens; it lives as long as its session.
type eventLog struct {
	session, stream  string
	events           [][]byte
	bytes            int
	inOrder, inPosts *list.Element // nil where the log is not in that list
}

var _ mcp.EventStore = (*replay)(nil)

func newReplay(maxBytes int, closed func(session string)) *replay {
	return &replay{max: maxBytes, closed: closed, sessions: map[string]*sessionLogs{}, order: list.New()}
}

// Open implements mcp.EventStore: a new stream.
func (r *replay) Open(_ context.Context, session, stream string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.sessions[session]
	if s == nil {
		s = &sessionLogs{streams: map[string]*eventLog{}, posts: list.New()}
		r.sessions[session] = s
	}
	if s.streams[stream] != nil {
		return nil
	}
	l := &eventLog{session: session, stream: stream}
	s.streams[stream] = l
	if stream == "" {
		return nil // an empty one is not worth its place in the order: evicting it would gain nothing
	}
	l.inPosts = s.posts.PushBack(l)
	r.growLocked(l, 0)
	if s.posts.Len() > maxReplayStreams {
		r.evictLocked(s.posts.Front().Value.(*eventLog))
	}
	return nil
}

// Append implements mcp.EventStore. An event of a stream that is no longer kept is dropped: it is still delivered, only
// not replayed.
func (r *replay) Append(_ context.Context, session, stream string, data []byte) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.findLocked(session, stream)
	if l == nil {
		return nil
	}
	l.events = append(l.events, slices.Clone(data))
	r.growLocked(l, len(data))
	return nil
}

func (r *replay) findLocked(session, stream string) *eventLog {
	if s := r.sessions[session]; s != nil {
		return s.streams[stream]
	}
	return nil
}

// growLocked counts an event of l and makes room for it, sparing l unless it alone is over the bound.
func (r *replay) growLocked(l *eventLog, dataBytes int) {
	if l.inOrder == nil {
		l.inOrder = r.order.PushBack(l)
	}
	l.bytes += dataBytes + eventOverheadBytes
	r.bytes += dataBytes + eventOverheadBytes
	for r.bytes > r.max {
		oldest := r.order.Front().Value.(*eventLog)
		if oldest == l && r.order.Len() > 1 {
			r.order.MoveToBack(l.inOrder)
			continue
		}
		r.evictLocked(oldest)
	}
}

func (r *replay) evictLocked(l *eventLog) {
	s := r.sessions[l.session]
	r.bytes -= l.bytes
	delete(s.streams, l.stream)
	if l.inOrder != nil {
		r.order.Remove(l.inOrder)
	}
	if l.inPosts != nil {
		s.posts.Remove(l.inPosts)
	}
}

// After implements mcp.EventStore.
func (r *replay) After(_ context.Context, session, stream string, index int) iter.Seq2[[]byte, error] {
	events, err := r.after(session, stream, index)
	return func(yield func([]byte, error) bool) {
		if err != nil {
			yield(nil, err)
			return
		}
		for _, data := range events {
			if !yield(data, nil) {
				return
			}
		}
	}
}

func (r *replay) after(session, stream string, index int) ([][]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.findLocked(session, stream)
	switch {
	case l != nil:
		return slices.Clone(l.events[min(max(index+1, 0), len(l.events)):]), nil
	case stream == "" && index < 0:
		return nil, nil // a GET that resumes nothing: refusing it would keep the client from what comes next
	default:
		return nil, fmt.Errorf("replay stream %q: %w", stream, mcp.ErrEventsPurged)
	}
}

// SessionClosed implements mcp.EventStore.
func (r *replay) SessionClosed(_ context.Context, session string) error {
	r.forget(session)
	r.closed(session)
	return nil
}

func (r *replay) forget(session string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.sessions[session]
	if s == nil {
		return
	}
	for _, l := range s.streams {
		r.evictLocked(l)
	}
	delete(r.sessions, session)
}
