// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"context"
	"time"

	"meridian/proxy/upstream"
)

// connect returns a connection to the node in the version of HTTP that it speaks, or a place on one: one that is kept, unless it
// is to be fresh, or a new one.
func (r *relay) connect(timeout time.Duration, fresh bool) (upstream.Call, error) {
	addr := r.node.Address
	if !r.isH2 {
		if !fresh {
			if c := r.s.upstream.Kept(addr); c != nil {
				return c, nil
			}
		}
		return dialed(r, r.s.upstream.Dial, timeout)
	}
	if fresh {
		return dialed(r, r.s.h2.Dial, timeout)
	}
	if c := r.s.h2.Kept(addr); c != nil {
		return c, nil
	}
	return dialed(r, r.s.h2.Get, timeout)
}

// dialed has dial connect to the relay's node, for as long as the request lasts: when its client leaves, its node is cut or its time
// is over, the dial ends with it.
func dialed[C upstream.Call](r *relay, dial func(context.Context, string, time.Duration) (C, error), timeout time.Duration) (upstream.Call, error) {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	if !r.beginDial(stop) {
		return nil, errEnded
	}
	watched := r.whole || r.x.Protocol == "2" || r.x.Protocol == "3" // a client of HTTP/1 is watched by reading what else it sends
	if watched {
		r.x.Reply.Watch(r)
	}
	c, err := dial(ctx, r.node.Address, timeout)
	if r.endDial() && err == nil {
		c.Close()
		err = errLeftNode
	}
	if watched && (err != nil || !r.whole) {
		r.x.Reply.Unwatch()
	}
	if err != nil {
		return nil, err
	}
	return c, nil
}

// beginDial makes stop what ends a dial when the request is to end early. It reports false if that was asked for already.
func (r *relay) beginDial(stop func()) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.gone || r.wasCut || r.lateLocked() {
		return false
	}
	r.stopDial = stop
	r.wait.Store(waitsForHead) // whatever the method is: nothing was sent
	return true
}

// endDial reports whether the node was left meanwhile.
func (r *relay) endDial() (wasLeft bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stopDial = nil
	return r.wait.Load() == hasLeft
}

// closeLocked ends what goes on with the node. It needs r.mu.
func (r *relay) closeLocked() {
	if r.conn != nil {
		r.conn.Close()
	}
	if r.stopDial != nil {
		r.stopDial()
	}
}
