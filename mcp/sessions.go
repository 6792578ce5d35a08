// SPDX-License-Identifier: Apache-2.0

package mcp

import (
	"hash/maphash"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"meridian/topology"
)

const (
	// DefaultMaxSessions is how many sessions a table holds at most where it isn't told. Ours: the scale of the design.
	DefaultMaxSessions = 1_000_000
	// DefaultSessionIdle is after how long without a request a session is forgotten where the table isn't told. Ours: the
	// longest that peers have by default.
	DefaultSessionIdle = time.Hour

	// maxShards bounds the number of locks. Ours: more than a machine's processors.
	maxShards = 64
	// minShardSessions keeps small tables in few shards, so that the oldest of all goes, not the oldest of a few.
	minShardSessions = 1024
	// expireSteps is how many idle sessions each Bind and Lookup forgets at most: more than one, so that forgetting keeps
	// up with binding; few, so that no request pays for many.
	expireSteps = 2
)

// Sessions is the learned table of sessions: which node opened the session of an id. Safe for concurrent use.
//
// It has a lock per shard and not one without locks: a look-up also moves the session to the young end of the shard's
// list, so it writes anyway, and with 64 shards two requests rarely meet.
type Sessions struct {
	idle   atomic.Int64 // nanoseconds
	seed   maphash.Seed
	shards []shard
	nodes  nodeCounts
}

// sessionKey names a session. Ids are the workers' own, so two pools may have one in common.
type sessionKey struct {
	pool topology.PoolID
	id   string
}

type shard struct {
	mu     sync.Mutex // guards the fields below
	most   int
	byKey  map[sessionKey]*session
	oldest *session // used longest ago; ends of a doubly linked list
	newest *session
}

type session struct {
	key          sessionKey
	node         *nodeCount
	used         int64 // Unix nanoseconds
	older, newer *session
}

// NewSessions returns an empty table of at most that many sessions (0: DefaultMaxSessions), which forgets those that have had no
// request for idle (0: DefaultSessionIdle). When it is full, the session used longest ago makes room; in a table of
// several shards that is the oldest of one shard, a few percent before the bound is reached in all.
func NewSessions(most int, idle time.Duration) *Sessions {
	if most <= 0 {
		most = DefaultMaxSessions
	}
	if idle <= 0 {
		idle = DefaultSessionIdle
	}
	n := 1
	for n < maxShards && most/(n*2) >= minShardSessions {
		n *= 2
	}
	s := &Sessions{seed: maphash.MakeSeed(), shards: make([]shard, n)}
	s.idle.Store(int64(idle))
	for i := range s.shards {
		s.shards[i].most = (most + i) / n // the sum over the shards is most
		s.shards[i].byKey = map[sessionKey]*session{}
	}
	s.nodes.byID = map[topology.NodeID]*nodeCount{}
	return s
}

func (s *Sessions) shardOf(id string) *shard {
	return &s.shards[maphash.String(s.seed, id)&uint64(len(s.shards)-1)]
}

// Bind notes that node has opened the session. It copies id. A session that is bound already moves to node. An id that is
// not ValidSessionID is not bound.
func (s *Sessions) Bind(pool topology.PoolID, id string, node topology.NodeID, now time.Time) {
	if !ValidSessionID(id) {
		return
	}
	sh := s.shardOf(id)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	s.expireLocked(sh, now, expireSteps)
	if old := sh.byKey[sessionKey{pool, id}]; old != nil {
		s.forgetLocked(sh, old)
	}
	if len(sh.byKey) >= sh.most {
		s.forgetLocked(sh, sh.oldest)
	}
	e := &session{
		key:  sessionKey{pool, strings.Clone(id)},
		node: s.nodes.add(node), used: now.UnixNano(),
	}
	sh.byKey[e.key] = e
	sh.push(e)
}

// Lookup returns the node of a session, and counts as a use of it: a relay with a stream that outlives the idle time calls
// it again while the stream lasts. It does not keep id.
func (s *Sessions) Lookup(pool topology.PoolID, id string, now time.Time) (topology.NodeID, bool) {
	if id == "" {
		return "", false
	}
	sh := s.shardOf(id)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	s.expireLocked(sh, now, expireSteps)
	e := sh.byKey[sessionKey{pool, id}]
	if e == nil {
		return "", false
	}
	if e.node.dropped.Load() || now.UnixNano()-e.used > s.idle.Load() {
		s.forgetLocked(sh, e)
		return "", false
	}
	e.used = max(e.used, now.UnixNano())
	sh.unlink(e)
	sh.push(e)
	return e.node.id, true
}

// Drop forgets a session, if it is there.
func (s *Sessions) Drop(pool topology.PoolID, id string) {
	sh := s.shardOf(id)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if e := sh.byKey[sessionKey{pool, id}]; e != nil {
		s.forgetLocked(sh, e)
	}
}

// Expire forgets every session that is idle and returns how many. Bind and Lookup do so too, little by little; call it
// once a minute or so for a table without traffic. It holds each lock only for a bounded time.
func (s *Sessions) Expire(now time.Time) (n int) {
	const steps = 512 // about 0.1 ms
	for i := range s.shards {
		sh := &s.shards[i]
		for done := steps; done == steps; n += done {
			sh.mu.Lock()
			done = s.expireLocked(sh, now, steps)
			sh.mu.Unlock()
		}
	}
	return n
}

// Len returns how many sessions the table holds, those of dropped nodes that were not yet come across included.
func (s *Sessions) Len() (n int) {
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.Lock()
		n += len(sh.byKey)
		sh.mu.Unlock()
	}
	return n
}

// Count returns how many sessions are bound to a node, idle ones included.
func (s *Sessions) Count(node topology.NodeID) int { return s.nodes.count(node) }

// DropNode ends every session of a node, as when it is dead, and returns how many it had. It takes the same time however
// many those are: their memory is freed as they are come across, or as they would have been idle.
func (s *Sessions) DropNode(node topology.NodeID) int { return s.nodes.drop(node) }

// expireLocked forgets up to steps sessions of the shard that are idle or of a dropped node, the oldest first.
func (s *Sessions) expireLocked(sh *shard, now time.Time, steps int) (n int) {
	for ; n < steps && sh.oldest != nil; n++ {
		if e := sh.oldest; now.UnixNano()-e.used <= s.idle.Load() && !e.node.dropped.Load() {
			break
		}
		s.forgetLocked(sh, sh.oldest)
	}
	return n
}

func (s *Sessions) forgetLocked(sh *shard, e *session) {
	delete(sh.byKey, e.key)
	sh.unlink(e)
	s.nodes.remove(e.node)
}

func (sh *shard) push(e *session) {
	e.older, e.newer = sh.newest, nil
	if sh.newest != nil {
		sh.newest.newer = e
	} else {
		sh.oldest = e
	}
	sh.newest = e
}

func (sh *shard) unlink(e *session) {
	if e.older != nil {
		e.older.newer = e.newer
	} else {
		sh.oldest = e.newer
	}
	if e.newer != nil {
		e.newer.older = e.older
	} else {
		sh.newest = e.older
	}
	e.older, e.newer = nil, nil
}
