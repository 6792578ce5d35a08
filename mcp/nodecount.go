// SPDX-License-Identifier: Apache-2.0

package mcp

import (
	"sync"
	"sync/atomic"

	"meridian/topology"
)

// nodeCounts counts the sessions of each node. Only nodes that have one are in it. Its lock is taken when a session
// begins or ends, not on its requests, and after a shard's lock, never before.
type nodeCounts struct {
	mu   sync.Mutex // guards the fields below
	byID map[topology.NodeID]*nodeCount
}

// nodeCount is shared by all sessions of a node, until it is dropped: sessions that the node opens after that get another.
type nodeCount struct {
	id      topology.NodeID // set once, never changed
	n       int             // guarded by nodeCounts.mu
	dropped atomic.Bool
}

func (c *nodeCounts) add(id topology.NodeID) *nodeCount {
	c.mu.Lock()
	defer c.mu.Unlock()
	nc := c.byID[id]
	if nc == nil {
		nc = &nodeCount{id: id}
		c.byID[nc.id] = nc
	}
	nc.n++
	return nc
}

func (c *nodeCounts) remove(nc *nodeCount) {
	c.mu.Lock()
	defer c.mu.Unlock()
	nc.n--
	if nc.n == 0 && c.byID[nc.id] == nc {
		delete(c.byID, nc.id)
	}
}

func (c *nodeCounts) count(id topology.NodeID) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if nc := c.byID[id]; nc != nil {
		return nc.n
	}
	return 0
}

func (c *nodeCounts) drop(id topology.NodeID) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	nc := c.byID[id]
	if nc == nil {
		return 0
	}
	nc.dropped.Store(true)
	delete(c.byID, id)
	return nc.n
}
