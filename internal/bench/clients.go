// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"

	"github.com/quic-go/quic-go"

	"meridian/internal/loadgen"
)

// opener opens the client number i.
type opener = func(i int) (loadgen.Lane, error)

// clients makes an opener of clients to the proxy at an address. end is called when all of them are closed.
type clients func(ctx context.Context, l *lab, addr string) (open opener, end func(), err error)

func nothing() {}

// from returns an address of loopback for each client in turn, so that no two proxies see the same ports in TIME-WAIT.
func from(i int) net.IP { return net.IPv4(127, 0, 0, byte(2+i%200)) }

// requests are clients of HTTP/1.1 that are as c but for their addresses.
func requests(c loadgen.HTTP1) clients {
	return func(_ context.Context, _ *lab, addr string) (opener, func(), error) {
		return func(i int) (loadgen.Lane, error) {
			lane := c
			lane.Addr, lane.From = addr, from(i)
			return &lane, nil
		}, nothing, nil
	}
}

// overTLS returns the same client with TLS.
func overTLS(c loadgen.HTTP1) loadgen.HTTP1 {
	c.TLS = clientTLS()
	return c
}

// overHTTP2 are clients that share so many connections.
func overHTTP2(connections int, secure *tls.Config) clients {
	return shared(connections, secure != nil, func(_ *quic.Transport, i int) http.RoundTripper { return loadgen.HTTP2(secure, from(i)) })
}

// overHTTP3 are clients that share so many connections and one socket.
func overHTTP3(connections int) clients {
	return shared(connections, true, func(socket *quic.Transport, _ int) http.RoundTripper { return loadgen.HTTP3(clientTLS(), socket) })
}

func shared(connections int, secure bool, connect func(*quic.Transport, int) http.RoundTripper) clients {
	return func(ctx context.Context, _ *lab, addr string) (opener, func(), error) {
		conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			return nil, nil, err
		}
		socket := &quic.Transport{Conn: conn}
		end := func() { socket.Close(); conn.Close() }
		url := "http://" + addr + "/small"
		if secure {
			url = "https://" + addr + "/small"
		}
		transports := make([]http.RoundTripper, connections)
		for i := range transports {
			transports[i] = connect(socket, i)
		}
		lane := func(i int) (loadgen.Lane, error) {
			return &loadgen.Multiplexed{Transport: transports[i%connections], URL: url, Host: host, Size: smallSize}, nil
		}
		// One client of each connection first: those that found none would open more.
		first, err := loadgen.OpenLanes(ctx, connections, lane)
		if err != nil {
			end()
			return nil, nil, err
		}
		return lane, func() { first.Close(); end() }, nil
	}
}

// eventStreams are clients of server-sent events, each with a stream of its own.
func eventStreams(ctx context.Context, l *lab, addr string) (opener, func(), error) {
	return func(int) (loadgen.Lane, error) {
		path, publish := l.streams.newStream()
		return loadgen.OpenEventStream(ctx, addr, host, path, publish)
	}, nothing, nil
}

// webSockets are clients that have messages of 64 bytes sent back.
func webSockets(ctx context.Context, _ *lab, addr string) (opener, func(), error) {
	return func(int) (loadgen.Lane, error) { return loadgen.OpenWebSocket(ctx, addr, host, "/ws", event[:64]) }, nothing, nil
}
