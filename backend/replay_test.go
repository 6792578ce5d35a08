// SPDX-License-Identifier: Apache-2.0

package backend

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

func afterOf(r *replay, session, stream string, index int) (string, error) {
	var out []string
	for data, err := range r.After(context.Background(), session, stream, index) {
		if err != nil {
			return "", err
		}
		out = append(out, string(data))
	}
	return strings.Join(out, ","), nil
}

func add(t *testing.T, r *replay, session, stream string, events ...string) {
	t.Helper()
	if err := r.Open(context.Background(), session, stream); err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		if err := r.Append(context.Background(), session, stream, []byte(e)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestEventsAreReplayedAfterAnIndex(t *testing.T) {
	r := newReplay(1<<20, func(string) {})
	add(t, r, "s", "p", "a", "b", "c")
	for index, want := range map[int]string{-1: "a,b,c", 0: "b,c", 2: "", 99: ""} {
		if got, err := afterOf(r, "s", "p", index); err != nil || got != want {
			t.Errorf("after %d: got %q, %v; want %q", index, got, err, want)
		}
	}
}

func TestTheOldestStreamIsDroppedWhole(t *testing.T) {
	r := newReplay(3000, func(string) {})
	add(t, r, "s", "old", strings.Repeat("x", 1000))
	add(t, r, "s", "new", strings.Repeat("y", 1000), strings.Repeat("z", 1000))
	if _, err := afterOf(r, "s", "old", 0); !errors.Is(err, mcp.ErrEventsPurged) {
		t.Errorf("the old stream: got %v, want ErrEventsPurged", err)
	}
	if got, err := afterOf(r, "s", "new", -1); err != nil || len(got) != 2001 {
		t.Errorf("the new stream: got %d bytes, %v", len(got), err)
	}
	add(t, r, "s", "new", strings.Repeat("z", 4000)) // alone over the bound
	if _, err := afterOf(r, "s", "new", 0); !errors.Is(err, mcp.ErrEventsPurged) {
		t.Errorf("a stream over the whole bound: got %v, want ErrEventsPurged", err)
	}
}

func TestAStandingStreamThatLostEventsStillOpens(t *testing.T) {
	r := newReplay(1000, func(string) {})
	add(t, r, "s", "", strings.Repeat("x", 2000))
	if got, err := afterOf(r, "s", "", -1); err != nil || got != "" {
		t.Errorf("a GET that resumes nothing: got %q, %v; want nothing and no error", got, err)
	}
	if _, err := afterOf(r, "s", "", 3); !errors.Is(err, mcp.ErrEventsPurged) {
		t.Errorf("a GET that resumes: got %v, want ErrEventsPurged", err)
	}
}

func TestASessionKeepsItsLatestStreams(t *testing.T) {
	r := newReplay(1<<20, func(string) {})
	for i := range maxReplayStreams + 10 {
		add(t, r, "s", fmt.Sprint("p", i), "x")
	}
	if n := len(r.sessions["s"].streams); n != maxReplayStreams {
		t.Errorf("got %d streams, want %d", n, maxReplayStreams)
	}
	if _, err := afterOf(r, "s", "p9", 0); !errors.Is(err, mcp.ErrEventsPurged) {
		t.Errorf("an old stream: got %v, want ErrEventsPurged", err)
	}
}

// TestReplayNeverHoldsMoreThanItsBound checks the counts against a scan, over random use.
func TestReplayNeverHoldsMoreThanItsBound(t *testing.T) {
	const bound = 20_000
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 1))
	t.Logf("seed %d", seed)
	closed := 0
	r := newReplay(bound, func(string) { closed++ })
	ctx := context.Background()
	for range 5000 {
		session, stream := fmt.Sprint("s", rng.IntN(5)), fmt.Sprint("p", rng.IntN(100))
		if rng.IntN(10) == 0 {
			stream = ""
		}
		switch rng.IntN(20) {
		case 0:
			r.SessionClosed(ctx, session)
		case 1, 2, 3, 4, 5:
			r.Open(ctx, session, stream)
		default:
			r.Append(ctx, session, stream, make([]byte, rng.IntN(3000)))
		}
		held, logs := 0, 0
		for _, s := range r.sessions {
			for _, l := range s.streams {
				held += l.bytes
				if l.inOrder != nil {
					logs++
				}
			}
		}
		if held != r.bytes || held > bound || logs != r.order.Len() {
			t.Fatalf("held %d, counted %d, bound %d; %d logs, %d in order", held, r.bytes, bound, logs, r.order.Len())
		}
	}
	for i := range 5 {
		r.SessionClosed(ctx, fmt.Sprint("s", i))
	}
	if r.bytes != 0 || len(r.sessions) != 0 || r.order.Len() != 0 || closed == 0 {
		t.Errorf("after the end of all sessions: %d bytes, %d sessions, %d logs; told of %d", r.bytes, len(r.sessions), r.order.Len(), closed)
	}
}
