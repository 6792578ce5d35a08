// SPDX-License-Identifier: Apache-2.0

package http2

import xhttp2 "golang.org/x/net/http2"

// promises are those of our settings that follow the configuration: RFC 9113, section 6.5.2.
type promises struct{ streams, headBytes int }

func promisesOf(c *Config) promises { return promises{c.MaxStreams, c.HeadBytes} }

// promise tells the client all our settings, as the first frame. It needs c.mu.
func (c *conn) promise() {
	c.promised = promisesOf(c.s.config())
	c.streamsMost = c.promised.streams
	c.settings(
		xhttp2.Setting{ID: xhttp2.SettingMaxConcurrentStreams, Val: uint32(c.promised.streams)},
		xhttp2.Setting{ID: xhttp2.SettingInitialWindowSize, Val: streamWindow},
		xhttp2.Setting{ID: xhttp2.SettingMaxHeaderListSize, Val: uint32(c.promised.headBytes)},
	)
	c.unacknowledged++
}

// promiseAnew tells the client what has changed since. More streams are taken from now on, fewer once it has acknowledged
// that: until then it keeps to what it knows.
func (c *conn) promiseAnew() {
	c.mu.Lock()
	defer c.mu.Unlock()
	is := promisesOf(c.s.config())
	if is == c.promised || c.promised == (promises{}) {
		return // nothing new, or begin will say it
	}
	c.promised = is
	c.streamsMost = max(c.streamsMost, is.streams)
	c.settings(
		xhttp2.Setting{ID: xhttp2.SettingMaxConcurrentStreams, Val: uint32(is.streams)},
		xhttp2.Setting{ID: xhttp2.SettingMaxHeaderListSize, Val: uint32(is.headBytes)},
	)
	c.unacknowledged++
}

// onAcknowledged holds the client to our newest settings once it knows them: RFC 9113, section 6.5.3.
func (c *conn) onAcknowledged() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.unacknowledged > 0 {
		c.unacknowledged--
	}
	if c.unacknowledged == 0 {
		c.streamsMost = c.promised.streams
	}
}
