// SPDX-License-Identifier: Apache-2.0

package http2

import "meridian/proxy/exchange"

var _ exchange.Informer = (*reply)(nil)

// Inform implements exchange.Informer.
func (p *reply) Inform(status int, h exchange.Header) error {
	if r := &p.reply; r.headed || r.ended || r.aborted {
		return nil
	}
	s := (*stream)(p)
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	if err := s.wait(false); err != nil {
		return err
	}
	s.c.encode(s.id, status, h, exchange.LengthNone, false)
	return nil
}
