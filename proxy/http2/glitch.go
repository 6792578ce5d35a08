// SPDX-License-Identifier: Apache-2.0

package http2

import (
	"time"

	xhttp2 "golang.org/x/net/http2"
)

// A glitch is something that the protocol allows, that costs us more than the peer, and that sane peers do rarely: a stream
// reset before its answer, a frame that makes us reset it, PING and SETTINGS and PRIORITY frames, empty DATA, WINDOW_UPDATE
// out of proportion. Each may be one of a flood (CVE-2019-9512 to 9518, CVE-2023-44487, CVE-2025-8671). They are counted
// for each connection and forgotten with time and with streams that end well. Ours, after HAProxy's model.
const (
	glitchLimit  = 200 // at this the connection is closed
	glitchGoAway = 150 // at this the client is told to go elsewhere: one by mistake loses nothing
	glitchForget = 20  // a second
)

// glitch counts one. Only the reading goroutine calls it.
func (c *conn) glitch() error { return c.waste(1) }

// waste counts n at once, for what costs us more than a frame. Only the reading goroutine calls it.
func (c *conn) waste(n int) error {
	now := time.Now()
	if forgotten := int(now.Sub(c.glitchSeen) * glitchForget / time.Second); forgotten > 0 {
		c.glitches = max(0, c.glitches-forgotten)
		c.glitchSeen = now
	}
	c.glitches = max(0, c.glitches-int(c.wellEnded.Swap(0)))
	before := c.glitches
	c.glitches += n
	switch {
	case c.glitches >= glitchLimit:
		c.s.misbehaved.Add(1)
		return xhttp2.ConnectionError(xhttp2.ErrCodeEnhanceYourCalm)
	case before < glitchGoAway && c.glitches >= glitchGoAway:
		c.enter(leaving, 0)
	}
	return nil
}

// savedMost bounds what well-behaved peers save up for later. Ours.
const savedMost = 10000

// prompted counts a frame of a kind that is a sane answer to what we send, as PING and WINDOW_UPDATE are to DATA. earned
// is how many of them all that was sent so far explains; one above that is a glitch.
func (c *conn) prompted(n *uint64, earned uint64) error {
	if earned > savedMost {
		*n = max(*n, earned-savedMost)
	}
	if *n++; *n > earned {
		*n = earned
		return c.glitch()
	}
	return nil
}
