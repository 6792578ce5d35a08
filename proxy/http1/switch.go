// SPDX-License-Identifier: Apache-2.0

package http1

import (
	"bytes"
	"errors"
	"net"
	"net/http"
	"time"

	"meridian/proxy/exchange"
)

// reply takes interim answers and can become a tunnel.
var (
	_ exchange.Informer = (*reply)(nil)
	_ exchange.Switcher = (*reply)(nil)
)

// Inform implements exchange.Informer. HTTP/1.0 has no interim answers (RFC 9110, section 15.2).
func (p *reply) Inform(status int, h exchange.Header) error {
	c := (*conn)(p)
	if !c.head.http11 || c.reply.headed || c.reply.aborted {
		return nil
	}
	c.borrowOut()
	c.out = appendStatus(c.out[:0], status)
	c.out = appendFields(c.out, h)
	c.out = append(c.out, '\r', '\n')
	return c.sendInterim()
}

// sendInterim sends what was collected; it is no part of the answer, which may still be any.
func (c *conn) sendInterim() error {
	sent := c.reply.sent
	err := c.send(nil)
	c.reply.sent = sent || err != nil // after an error nothing more can be said
	return err
}

// CanSwitch implements exchange.Switcher.
func (p *reply) CanSwitch() bool {
	return p.head.http11 && p.head.Method == http.MethodGet && (p.head.Length == exchange.LengthNone || p.head.Length == 0)
}

// OnLeave implements exchange.Switcher.
func (p *reply) OnLeave(f func()) { p.p.onLeave(func(time.Duration) { f() }) }

// Switch implements exchange.Switcher.
func (p *reply) Switch(h exchange.Header) (net.Conn, []byte, error) {
	c := (*conn)(p)
	if c.reply.sent || c.reply.aborted || c.reply.ended || !p.CanSwitch() {
		return nil, nil, errors.New("switch protocols: not possible in this exchange")
	}
	c.borrowOut()
	c.out = appendStatus(c.out[:0], http.StatusSwitchingProtocols)
	c.out = appendFields(c.out, h)
	c.out = append(c.out, '\r', '\n')
	c.reply.headed = true
	err := c.send(nil)
	c.reply.aborted = true // nothing more is said in HTTP here, and the connection ends with the handler
	c.returnOut()
	read := bytes.Clone(c.r.Buffered())
	c.r.Release()
	return c.nc, read, err
}
