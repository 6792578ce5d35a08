// SPDX-License-Identifier: Apache-2.0

package testnet

import "testing"

func TestNodeAndClientExchangeExactBytes(t *testing.T) {
	n := Listen(t, func(c *Conn) {
		if got := c.ReadUntil("\n"); got != "ping\n" {
			t.Errorf("the node got %q", got)
		}
		c.Send("pong")
	})
	c := Dial(t, n.Addr)
	c.Send("ping\nmore")
	if got, _ := c.ReadAll(); got != "pong" {
		t.Errorf("the client got %q", got)
	}
	Wait(t, "the connection to be counted", func() bool { return n.Accepted() == 1 })
}

func TestCloseEndsConnectionsAndWaits(t *testing.T) {
	entered := make(chan struct{})
	n := Listen(t, func(c *Conn) { close(entered); c.ReadAll() })
	c := Dial(t, n.Addr)
	<-entered
	n.Close()
	if _, clean := c.ReadAll(); clean {
		t.Error("the client saw a clean end")
	}
}
