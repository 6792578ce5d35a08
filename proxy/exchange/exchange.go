// SPDX-License-Identifier: Apache-2.0

// Package exchange holds one request and its answer as the proxy sees them, whatever protocol carries them. Engines
// (proxy/http1, later others) make exchanges; routing, picking and relaying work on nothing else.
//
// It leaves the wire to the engines and every decision to the handler. It starts no goroutine. A Handler runs in a
// goroutine of the engine, may block, and must not keep the exchange or its parts after it has returned.
//
//	func hello(x *exchange.Exchange) {
//		x.Reply.WriteHead(&exchange.Head{Status: 200, Length: 5})
//		x.Reply.Write([]byte("hello"))
//		x.Reply.End(nil)
//	}
package exchange

import (
	"net/netip"
	"time"
)

// Length of a message's body where it is not a number of bytes.
const (
	// LengthNone says that the message declares no body.
	LengthNone int64 = -2
	// LengthUnknown says that there is a body which ends where its sender says so.
	LengthUnknown int64 = -1
)

// Exchange is one request and the way to answer it. It belongs to the goroutine that runs the Handler.
type Exchange struct {
	Request
	// Body is the request's body, never nil; that of a request without one is at its end.
	Body Body
	// Reply takes the answer.
	Reply Reply
	// Client is the peer's address and port, ClientIP the address as text, valid as long as Request's strings.
	Client   netip.AddrPort
	ClientIP string
	// ServerName is the host that the TLS handshake named (RFC 6066, section 3), "" if it named none or there was none.
	ServerName string
	// Listener is the address that the client's connection was accepted on, as it was bound.
	Listener netip.AddrPort
	// Memo is the handler's to keep something in from one request of a connection to the next. Nil where requests of a connection
	// are handled at the same time.
	Memo *Memo
	// Received is when the request's first byte was seen.
	Received time.Time
}

// Memo is what a handler keeps with a connection, in memory of its own: see Request. The zero value holds nothing.
type Memo struct {
	// Forwarded is the value of that field for Host and Scheme.
	Host, Scheme, Forwarded string
}

// Request is a request's head in a form that all versions of HTTP share. Its strings, those of the fields included, are
// valid until the handler returns: an engine may use their memory for the next request. What is kept must be cloned.
type Request struct {
	Method string
	// Protocol is the version of HTTP: "1.0", "1.1", "2" or "3". Empty: "1.1".
	Protocol string
	// Scheme is "http" or "https".
	Scheme string
	// Host is the authority as the client sent it, with its port if it had one. Empty only in HTTP/1.0.
	Host string
	// Target is path and query as they go to the node, or "*". Path is Target without its query; both are byte for byte
	// what the client sent.
	Target, Path string
	// Header holds the fields in the order they came, but for Host, Content-Length, Transfer-Encoding and Expect, which
	// the engine has read. Hop-by-hop fields are still there.
	Header Header
	// Length is that of the body: bytes, LengthUnknown or LengthNone.
	Length int64
}

// Head is the head of an answer.
type Head struct {
	// Status is 200 to 599.
	Status int
	// Header holds the fields, but for Content-Length, Transfer-Encoding and Connection, which the engine writes.
	Header Header
	// Close says that the connection takes no further request: the one that is answered is not to be trusted. It is for
	// HTTP/1, where the next request begins where this one was thought to end; later versions pass over it.
	Close bool
	// Length is that of the body, LengthUnknown or LengthNone. For an answer that has no body by its nature (to HEAD,
	// 304) it is what the body would have.
	Length int64
}

// Handler answers an exchange. An answer that it leaves without End is broken off: the client can see that it is not whole.
type Handler func(x *Exchange)

// Body reads a request's body. One goroutine may read while another writes the answer; Stop may be called by any.
type Body interface {
	// Read waits for the next bytes. It returns io.EOF at the body's end and any other error where the body is broken,
	// the client gone or silent for too long. It sends 100 (Continue) to a client that waits for that.
	Read(p []byte) (int, error)
	// ReadArrived is Read without waiting: it returns 0 and nil where nothing more has arrived.
	ReadArrived(p []byte) (int, error)
	// Continue sends 100 (Continue) if the client waits for that. Only the goroutine that writes the answer may call it.
	Continue() error
	// Stop makes a Read that waits, and all later ones, fail. The connection is not used for another request then.
	Stop()
	// Trailer returns the trailer fields, valid once Read has returned io.EOF.
	Trailer() Header
}

// Reply writes an answer. It is used by one goroutine.
type Reply interface {
	// WriteHead starts the answer. What it writes is sent by Flush or when the engine's buffer is full. As long as Started
	// reports false it may be called again, which drops what was written.
	WriteHead(h *Head) error
	// Write adds bytes to the body. For an answer that has no body by its nature they are dropped.
	Write(p []byte) (int, error)
	// Flush sends all that was written.
	Flush() error
	// End ends the answer as whole and sends it. It fails if fewer bytes than Head.Length were written.
	End(trailer Header) error
	// Abort breaks the answer off and cuts the client's connection or stream.
	Abort()
	// Interrupt makes a Write, Flush or End that waits for the client, and all later ones, fail until WriteHead begins another
	// answer. Any goroutine may call it while the handler runs.
	Interrupt()
	// Started reports whether a byte of the answer may have reached the client.
	Started() bool
	// SetIdle bounds the silence in either direction. Zero: the engine's default.
	SetIdle(d time.Duration)
	// Watch has c told, once and from another goroutine, when the client is gone. The request's body must not be read while
	// it watches; a goroutine that has read the body to its end may call Watch, too.
	Watch(c Canceler)
	// Unwatch ends Watch. When it has returned, c is not called any more.
	Unwatch()
}

// Canceler is told that the client is gone.
type Canceler interface{ ClientGone() }
