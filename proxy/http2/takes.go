// SPDX-License-Identifier: Apache-2.0

package http2

import "meridian/proxy/exchange"

var _ exchange.Taker = (*reply)(nil)

// Takes implements exchange.Taker: what the stream's and the connection's windows let through, while little is queued.
func (p *reply) Takes() int {
	c := p.c
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case p.err != nil || c.writeErr != nil:
		return exchange.MaxTake
	case len(c.out) >= outBytes:
		return 0
	}
	return int(max(0, min(p.sendWindow, c.sendWindow, exchange.MaxTake)))
}

// AwaitTakes implements exchange.Taker.
func (p *reply) AwaitTakes() error {
	s := (*stream)(p)
	if len(s.reply.pending) == 0 {
		s.release()
	}
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	return s.wait(true)
}
