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

// AwaitTakes implements exchange.Taker. A few bytes that were collected, as the end of a chunk, don't keep their buffer.
func (p *reply) AwaitTakes() error {
	c := (*conn)(p)
	var few [32]byte
	n := len(c.out)
	if n <= len(few) {
		copy(few[:], c.out)
		c.returnOut()
	}
	if c.bodyTaken() && len(c.r.Buffered()) == 0 {
		c.r.Release() // nobody reads: the request is whole, and the client is not watched
	}
	c.extendWrite()
	if c.interrupted.Load() { // as in send: extendWrite may have moved the deadline that Interrupt set
		c.nc.SetWriteDeadline(past)
	}
	err := c.room.Wait()
	if n <= len(few) {
		c.borrowOut()
		c.out = append(c.out, few[:n]...)
	}
	if err != nil {
		c.reply.err = fmt.Errorf("write to the client: %w", err)
		c.reply.keep = false
	}
	return c.reply.err
}
