// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"slices"
	"testing"
)

func TestProxiesTakeTurnsAndEachBeginsARound(t *testing.T) {
	rows := []*row{rounds("a", 0), rounds("b", 0), rounds("c", 0)}
	var got []string
	err := inTurns(t.Context(), rows, 3, func(r *row) error {
		got = append(got, r.peer.name)
		return nil
	})
	if want := []string{"a", "b", "c", "a", "c", "b", "c", "a", "b"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v; want %v", got, err, want)
	}
}

func TestARoundThatFailsIsTriedAgainAndNotForEver(t *testing.T) {
	refused := errors.New("refused")
	rows := []*row{rounds("a", 0)}
	calls := 0
	if err := inTurns(t.Context(), rows, 1, func(*row) error {
		if calls++; calls < tries {
			return refused
		}
		return nil
	}); err != nil || calls != tries {
		t.Errorf("%d calls, %v", calls, err)
	}
	calls = 0
	if err := inTurns(t.Context(), rows, 1, func(*row) error { calls++; return refused }); !errors.Is(err, refused) || calls != tries {
		t.Errorf("%d calls, %v; want %d and the error", calls, err, tries)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	calls = 0
	if err := inTurns(ended, rows, 1, func(*row) error { calls++; return refused }); err == nil || calls != 1 {
		t.Errorf("%d calls after the end, %v; want one", calls, err)
	}
}
