// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"errors"

	"meridian/topology"
)

// What a relay's patience with its node can be: see relay.wait.
const (
	waitsForGood uint32 = iota // nothing is out, an answer has begun, or the request may not be repeated
	waitsForHead               // or for a connection: it may be left
	hasLeft                    // LeaveNode has ended it
)

// LeaveNode takes the requests that wait for a node's answer away from it and has them tried on another, where they may be repeated, and
// all that wait for a connection: their node hangs or is cut off, so that no error would come before its time is over. The others go on
// waiting. It returns how
// many. The retry budget does not count them: the node has stopped working on them, and each verdict moves a request once. Not for the
// last node that can be picked. Safe for concurrent use.
func (s *Server) LeaveNode(id topology.NodeID) int {
	n := 0
	for i := range s.relays.shards {
		n += s.relays.shards[i].leave(id)
	}
	s.metrics.nodeLeft.Add(n)
	return n
}

// leave has the relays leave that are out at the node.
func (s *registryShard) leave(id topology.NodeID) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for r := s.head; r != nil; r = r.next {
		if r.node.Name == id && r.leave() {
			n++
		}
	}
	return n
}

// leave ends the wait for a connection or for the head of an answer, if the relay is in one that may be ended.
func (r *relay) leave() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.conn == nil && r.stopDial == nil || !r.wait.CompareAndSwap(waitsForHead, hasLeft) {
		return false
	}
	r.closeLocked()
	return true
}

// mayLeave reports whether the request may be taken away from the node that has it. A session of MCP is bound to its node.
func (r *relay) mayLeave() bool { return r.whole && !r.isMCP && repeatable(r.x.Method) }

// errLeftNode stands for a connection that was not made because LeaveNode has ended the wait for it.
var errLeftNode = errors.New("the node was found to be down while a connection to it was made")

// leftNode ends a try whose node was left.
func (r *relay) leftNode() (result, failure) {
	r.x.Reply.Unwatch()
	r.drop()
	r.record.err = "the node was found to be down while it had the request"
	if gone, cut := r.ending(); gone || cut {
		r.ended()
		return finished, failure{}
	}
	return left, failure{status: 504, reason: "the node was found to be down while it had the request"}
}
