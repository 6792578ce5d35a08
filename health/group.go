// SPDX-License-Identifier: Apache-2.0

package health

import "sync"

// group counts the targets of one Settings.Group, so that requests never take out its last one that can be picked, also when two
// fail at the same moment, nor too many of them. A nil group has neither bound.
type group struct {
	mu       sync.Mutex // guards the fields below; taken within a record's lock, and takes no other
	members  int
	pickable int
	ejected  int // in state Ejected
}

// count moves a member from a state to another.
func (g *group) count(was, is State) {
	if g == nil || was == is {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.countLocked(was, -1)
	g.countLocked(is, 1)
}

func (g *group) countLocked(s State, n int) {
	if s.CanPick() {
		g.pickable += n
	}
	if s == Ejected {
		g.ejected += n
	}
}

// join counts a member in, or out again where n is -1.
func (g *group) join(s State, n int) {
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.members += n
	g.countLocked(s, n)
}

// take moves a member that can be picked to Refused or Ejected, or says why it must not.
func (g *group) take(was, is State) (refused string) {
	if g == nil {
		return ""
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if was.CanPick() && g.pickable <= 1 {
		return "it is the last that can be picked"
	}
	if is == Ejected && g.ejected >= g.mostLocked() {
		return "as many are ejected as may be at once"
	}
	g.countLocked(was, -1)
	g.countLocked(is, 1)
	return ""
}

// mostLocked is how many may be ejected at once: a tenth, and of three or more one at least. Of two it is one, too: a node that fails
// five requests in a row is out of place beside one that doesn't.
func (g *group) mostLocked() int { return max(g.members/10, 1) }
