// SPDX-License-Identifier: Apache-2.0

package backend

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// listenMethod opens the one modern stream that stays open (2026-07-28, basic/patterns/subscriptions).
const listenMethod = "subscriptions/listen"

// calls follows the MCP requests being worked on, which outlive their HTTP requests: a legacy client that disconnects has
// not cancelled, and may come back for the answer.
type calls struct {
	log *slog.Logger
	// cut ends every call's context. It is done at the shutdown deadline only.
	cut context.Context

	mu      sync.Mutex // guards the fields below
	running int
	listens map[int]context.CancelFunc // of the open listens, by a number of ours
	next    int
	changed func() // called without the lock when running has fallen
}

func newCalls(cut context.Context, log *slog.Logger, changed func()) *calls {
	return &calls{cut: cut, log: log, listens: map[int]context.CancelFunc{}, changed: changed}
}

// middleware counts a call, ends it at the shutdown deadline, and turns a panic into an error: the SDK runs tools outside
// of net/http's own recovery, so that one panic would end the process with all that it holds.
func (c *calls) middleware(next mcp.MethodHandler) mcp.MethodHandler {
	return func(ctx context.Context, method string, req mcp.Request) (res mcp.Result, err error) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(c.cut, cancel)()
		defer c.enter(method, cancel)()
		defer func() {
			if p := recover(); p != nil {
				c.log.Error("a call panicked", "method", method, "panic", p, "stack", string(debug.Stack()))
				res, err = nil, fmt.Errorf("%s: internal error", method)
			}
		}()
		return next(ctx, method, req)
	}
}

// enter counts a call and returns what ends it. end ends the call's context.
func (c *calls) enter(method string, end context.CancelFunc) (leave func()) {
	listens := method == listenMethod
	c.mu.Lock()
	defer c.mu.Unlock()
	id := c.next
	if listens {
		c.listens[id] = end
		c.next++
	} else {
		c.running++
	}
	return func() {
		c.mu.Lock()
		if listens {
			delete(c.listens, id)
		} else {
			c.running--
		}
		c.mu.Unlock()
		c.changed()
	}
}

func (c *calls) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.running
}

// listening counts the open listens.
func (c *calls) listening() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.listens)
}

// endListens makes every open listen answer with its final result. Closing its session, which the SDK offers for that,
// would drop the result.
func (c *calls) endListens() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, end := range c.listens {
		end()
	}
}
