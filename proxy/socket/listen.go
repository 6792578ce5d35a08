// SPDX-License-Identifier: Apache-2.0

package socket

import (
	"context"
	"net"
)

// Listen is net.Listen for TCP. Connections send keep-alive probes. On Linux the kernel holds only 128 KiB of what is written to one of
// them, besides what the client's window has room for; a write waits beyond that. Multipath TCP, which net.Listen offers, is off: a
// listener of that kind hands none of its options on, and every accept would go through it.
func Listen(addr string) (net.Listener, error) {
	var lc net.ListenConfig
	lc.SetMultipathTCP(false)
	configure(&lc)
	return lc.Listen(context.Background(), "tcp", addr)
}
