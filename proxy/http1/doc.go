// SPDX-License-Identifier: Apache-2.0

// Package http1 is the HTTP/1.1 engine: it reads requests from clients and writes answers to them as exchanges, and has
// what an upstream connection needs to speak to nodes. HTTP/1.0 clients are served.
//
// It is strict: what RFC 9112 lets a recipient repair is refused, since what two programs repair differently is how a
// request is smuggled through the first into the second. Messages are written anew from what was parsed. A strict reading
// of our own decides (head.go, target.go, framing.go, chunked.go); fasthttp's parser must agree with it (confirm.go).
// fasthttp's Server and client are not used: an answer must be on the wire piece by piece, as it comes from the node.
//
// It leaves to the handler what a request means. A connection (peer.go) has a goroutine and buffers (conn.go) while a
// request is under way and for a short time after it, and one goroutine more while an answer is waited for longer than
// 40 ms. Then it is parked (lot.go): on Linux an epoll instance and one goroutine wait for all such connections; elsewhere
// each keeps its goroutine. Server.Shutdown waits for all of them.
//
//	s := http1.NewServer(http1.Config{Handler: handle})
//	go s.Serve(listener)
//	…
//	listener.Close()
//	s.Shutdown(ctx, time.Second)
package http1
