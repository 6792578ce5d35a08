// SPDX-License-Identifier: Apache-2.0

package backend

import (
	"crypto/rand"
	"sync"
)

// sessions counts the legacy sessions that the SDK holds, and bounds them. The SDK has no count of its own that leaves out
// the sessions it makes for one modern request, and no way to refuse one; its hooks at the two ends of a session's life
// (GetSessionID, EventStore.SessionClosed) give both.
type sessions struct {
	max int

	mu       sync.Mutex // guards the fields below
	live     map[string]struct{}
	starting int // requests at work that may yet open a session
}

func newSessions(most int) *sessions { return &sessions{max: most, live: map[string]struct{}{}} }

// admit reports whether one more session may be opened. If so, the caller calls started when the request is over.
func (s *sessions) admit() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.live)+s.starting >= s.max {
		return false
	}
	s.starting++
	return true
}

func (s *sessions) started() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.starting--
}

// mint makes the id of a new session: 130 random bits, so that it can't be guessed and no two workers make the same.
func (s *sessions) mint() string {
	id := rand.Text()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.live[id] = struct{}{}
	return id
}

// ended forgets a session. Unknown ids are passed over.
func (s *sessions) ended(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.live, id)
}

func (s *sessions) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.live)
}
