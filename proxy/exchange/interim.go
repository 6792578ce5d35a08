// SPDX-License-Identifier: Apache-2.0

package exchange

import "net"

// Informer is a Reply whose client takes interim answers (RFC 9110, section 15.2). Engines that have none don't implement
// it.
type Informer interface {
	// Inform sends an interim answer, 102 to 199, at once, if no answer was started and the client's version knows it; else
	// it does nothing. The goroutine that writes the answer calls it. An error is the network's.
	Inform(status int, h Header) error
}

// Taker is a Reply that knows whether its client takes more, so that a handler need not hold what nobody takes. Engines that
// can't know don't implement it.
type Taker interface {
	// Takes returns how many bytes may be written without waiting for the client, 0 to MaxTake. Where the client is gone that
	// is MaxTake: Write says so. The goroutine that writes the answer calls it.
	Takes() int
	// AwaitTakes waits until Takes is not 0, as long as the client may take for what is written to it. It gives back what
	// buffers it can meanwhile. The client must not be watched. An error is that of a failed Write.
	AwaitTakes() error
}

// Waiter is a Body that may be able to wait without being given a buffer. Engines that can't don't implement it.
type Waiter interface {
	// CanAwait reports whether Await may be called.
	CanAwait() bool
	// Await waits until ReadArrived has more of the body, or its end or error, as long as Read would. It may return too early.
	Await()
}

// MaxTake is the most that a Taker speaks of: what a handler writes at once.
const MaxTake = 32 << 10

// Switcher is a Reply whose connection can become a tunnel (RFC 9110, section 7.8): that of HTTP/1.1. Engines of other
// versions don't implement it.
type Switcher interface {
	// CanSwitch reports whether the request may ask for another protocol: a GET of HTTP/1.1 without a body. That it does ask
	// is for the handler to see.
	CanSwitch() bool
	// Switch sends 101 with these fields, Connection and Upgrade among them, and hands the connection over with the bytes
	// that were read from it behind the request. It is valid, and has to be used, within the handler; the engine closes it
	// afterwards. The client must not be watched. No other method of the Reply may be called then.
	Switch(h Header) (conn net.Conn, read []byte, err error)
	// OnLeave has f called when the connection is to end, because the server or its listener does. It may be called at once,
	// by any goroutine and more than once, also after the handler has returned.
	OnLeave(f func())
}
