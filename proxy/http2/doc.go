// SPDX-License-Identifier: Apache-2.0

// Package http2 is the HTTP/2 engine (RFC 9113, RFC 7541): it serves one connection at a time that proxy/http1's listeners
// have handed over, by TLS's ALPN or by prior knowledge, and makes an exchange of each stream.
//
// Frames are read with golang.org/x/net/http2's Framer and header blocks with its hpack; everything else is our own, so
// that every bound is: streams, bytes and fields of a head, CONTINUATION frames, buffered bodies, queued answers, and a
// count of glitches, which are what a peer may do but no sane one does often (glitch.go). Heads are held to proxy/strict,
// as in HTTP/1.1. Push, priorities and CONNECT are not spoken. Half an answer ends in RST_STREAM, never END_STREAM.
//
// A connection has the goroutine of Serve, which reads; one that writes while there is something to write; and one for
// each stream, which runs the handler. Serve returns when all have ended.
//
//	s := http2.NewServer(http2.Config{Handler: handle})
//	engine.OnHTTP2(func(h http1.Handover) { s.Serve(h.Conn, h.Read, http2.Peer{Addr: h.Client, Scheme: h.Scheme}) })
package http2
