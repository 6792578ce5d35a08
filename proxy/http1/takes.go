// SPDX-License-Identifier: Apache-2.0

package http1

import (
	"fmt"

	"meridian/proxy/exchange"
)

var _ exchange.Taker = (*reply)(nil)

// Takes implements exchange.Taker.
func (p *reply) Takes() int {
	c := (*conn)(p)
	if !c.room.Set() {
		c.room.Reset(c.nc)
	}
	if c.reply.err == nil && !c.room.Free() {
		return 0
	}
	return exchange.MaxTake
}

// AwaitTakes implements exchange.Taker. What was collected keeps no buffer meanwhile: a few bytes, as the end of a chunk, are kept
// apart, and for more than that the kernel has room, which speaks of none while it still takes as much as it holds.
func (p *reply) AwaitTakes() error {
	c := (*conn)(p)
	var few [32]byte
	if len(c.out) > len(few) {
		if err := c.send(nil); err != nil {
			return err
		}
	}
	n := copy(few[:], c.out)
	c.returnOut()
	if c.bodyTaken() && len(c.r.Buffered()) == 0 {
		c.r.Release() // nobody reads: the request is whole, and the client is not watched
	}
	c.extendWrite()
	if c.interrupted.Load() { // as in send: extendWrite may have moved the deadline that Interrupt set
		c.nc.SetWriteDeadline(past)
	}
	err := c.room.Wait()
	c.borrowOut()
	c.out = append(c.out, few[:n]...)
	if err != nil {
		c.reply.err = fmt.Errorf("write to the client: %w", err)
		c.reply.keep = false
	}
	return c.reply.err
}
